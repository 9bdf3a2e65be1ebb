"""Requests and answers that are passed on whole: all but bulks and exports."""

from __future__ import annotations

import asyncio
from typing import Final

from penstock.api.body import refuse_body, undecoded
from penstock.api.forward.budget import Budget
from penstock.api.forward.link import Broken, Reply
from penstock.api.forward.message import message
from penstock.api.forward.passing import UNAUTHENTICATED, Service, nobody
from penstock.api.forward.race import Hedging, Race
from penstock.api.forward.upstream import Upstream
from penstock.api.request import Request
from penstock.api.response import Response
from penstock.api.route import Role, Route
from penstock.api.services import Services
from penstock.errors import OutcomeUnknown
from penstock.records.scope import Verb

PAUSES_S: Final = (0.0, 0.0, 0.02, 0.1)
"""Before each attempt; the first of them is no repetition."""

_PART: Final = 0.2
_BURST: Final = 100
_UNAVAILABLE: Final = 503
_LEAVING: Final = b'"code":"shutting_down"'


class Whole:
    """Passes requests on, and repeats them where they found nobody, or got no answer.

    That is always safe: a read has no effect, and a write takes its ids along (`Birth`), so that
    however often it arrives, it is the same operation.
    """

    def __init__(self, service: Service, hedging: Hedging | None) -> None:
        self._service = service
        self._hedging = hedging
        self._retries = Budget(_PART, _BURST)

    async def pass_on(self, services: Services, route: Route, request: Request) -> Response:
        """The service's answer. Raises `Unavailable`, and whatever it is refused for here."""
        writes = route.role is Role.INGEST
        voucher = await self._service.voucher(services, route, request)
        body = await _body(services, route, request)
        if writes:
            # Past this line, only the log knows whether the write was appended.
            request.guard.late = OutcomeUnknown
        reply = await self._answer(request, voucher, body, writes=writes)
        if reply.status == UNAUTHENTICATED:
            raise self._service.distrusts()
        return Response(*reply)

    async def _answer(
        self, request: Request, voucher: str, body: bytes | None, *, writes: bool
    ) -> Reply:
        """The answer of whoever gives one."""
        self._retries.earn()
        framing = b"" if body is None else b"content-length: %d\r\n" % len(body)
        last: Upstream | None = None
        sent = False
        for number, pause_s in enumerate(PAUSES_S):
            if number and not self._retries.spend():
                break
            if pause_s:
                await asyncio.sleep(pause_s)
            last = self._service.fleet.choose(last)
            if last is None:
                continue
            head = message(request, voucher, framing)
            race = Race(head if body is None else head + body, request.timing.clock.monotonic())
            try:
                await race.enter(last)
                sent = True
                reply = await self._first(race)
            except Broken:
                continue
            finally:
                race.close()
            if reply.status != _UNAVAILABLE or _LEAVING not in reply.body:
                return reply
        raise nobody(writes=writes, sent=sent)

    async def _first(self, race: Race) -> Reply:
        if self._hedging is None:
            return await race.reply
        self._hedging.watch(race)
        try:
            return await race.reply
        finally:
            self._hedging.forget(race)


async def _body(services: Services, route: Route, request: Request) -> bytes | None:
    if route.body is not None:
        return await undecoded(request, route.media, services.configuration.max_body_bytes)
    if route.verb is Verb.WRITE:
        refuse_body(request.headers)
    return None
