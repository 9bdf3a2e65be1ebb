"""The routes of an API process that has services behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from penstock.access import Vouchers
from penstock.api.forward.fleet import Fleet
from penstock.api.forward.passing import Service
from penstock.api.forward.race import Hedging
from penstock.api.forward.streamed import Streamer
from penstock.api.forward.whole import Whole
from penstock.api.request import Request
from penstock.api.response import Answer
from penstock.api.route import Handler, Role, Route
from penstock.api.services import Services
from penstock.ports.clock import Clock


class Forwarding:
    """Passes the requests of some roles on; without a fleet, a role is served here.

    Args:
        fleets: by role.
        vouchers: signs what we say of a request.
        clock: as everywhere.
    """

    def __init__(self, fleets: dict[Role, Fleet], vouchers: Vouchers, clock: Clock) -> None:
        self.fleets = fleets
        self._whole: dict[Role, Whole] = {}
        self._streamer: dict[Role, Streamer] = {}
        self._hedging: dict[Role, Hedging] = {}
        for role, fleet in fleets.items():
            service = Service(fleet, vouchers)
            # A write is not hedged: what is slow then is the log, and twice as much would be in it.
            hedging = Hedging(fleet, clock.monotonic) if role is Role.QUERY else None
            if hedging is not None:
                self._hedging[role] = hedging
            self._whole[role] = Whole(service, hedging)
            self._streamer[role] = Streamer(service)

    def routes(self, routes: Iterable[Route]) -> tuple[Route, ...]:
        """The same, as they are served here."""
        return tuple(
            replace(one, handler=self._handler(one)) if one.role in self.fleets else one
            for one in routes
        )

    def hedged(self, role: Role) -> int:
        """How many requests were sent to a service a second time."""
        return self._hedging[role].sent if role in self._hedging else 0

    async def start(self) -> None:
        """Look who is there."""
        await asyncio.gather(*(fleet.start() for fleet in self.fleets.values()))

    async def close(self) -> None:
        await asyncio.gather(*(fleet.close() for fleet in self.fleets.values()))

    def trouble(self) -> str | None:
        """Why nothing should be asked of this process; None once each service was there.

        When it goes later, the others are served on: what is not is answered so.
        """
        for fleet in self.fleets.values():
            if not fleet.reached:
                return f"No {fleet.name} service has answered yet."
        return None

    def _handler(self, route: Route) -> Handler:
        way = self._streamer[route.role] if route.streams else self._whole[route.role]
        return partial(_passed_on, way, route)


async def _passed_on(
    way: Whole | Streamer, route: Route, services: Services, request: Request
) -> Answer:
    return await way.pass_on(services, route, request)
