"""The processes of one service: who they are at the moment, and which of them is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from penstock.api.forward.address import Address, Place
from penstock.api.forward.probe import Answer, probe
from penstock.api.forward.upstream import Upstream
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy
from penstock.telemetry.logs import logger

PROBE_EVERY_S: Final = 0.5
RESOLVE_EVERY_S: Final = 3.0
_BITS: Final = 32

_log = logger("forward")


class Fleet:
    """All addresses that the names of a service stand for; each is a process of it.

    Args:
        name: of the service, for messages.
        places: where it is.
        silence_s: after which what streams from a process that does not answer is broken off.
        clock, entropy: as everywhere.
    """

    def __init__(
        self,
        name: str,
        places: Sequence[Place],
        silence_s: float,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self.name = name
        self.reached = False
        """Whether any of them was ever ready."""
        self._places = places
        self._silence_s = silence_s
        self._clock = clock
        self._entropy = entropy
        self._all: dict[Address, Upstream] = {}
        self._watching: dict[Address, asyncio.Task[None]] = {}
        self._choice: Sequence[Upstream] = ()
        self._turn = 0
        self._resolving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look who is there, once, and go on looking."""
        await self._resolve()
        await asyncio.gather(*(self._ask(one) for one in self._all.values()))
        self._resolving = asyncio.create_task(self._keep_resolving())

    async def close(self) -> None:
        tasks = [*self._watching.values()]
        if self._resolving is not None:
            tasks.append(self._resolving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for upstream in self._all.values():
            upstream.close()

    def count(self, *, usable: bool) -> int:
        """How many processes are known; with `usable`, of those that are to be asked."""
        every = list(self._all.values())
        return sum(one.usable for one in every) if usable else len(every)

    def in_flight(self) -> int:
        """Requests that have no answer yet."""
        return sum(one.in_flight for one in list(self._all.values()))

    def choose(self, not_this: Upstream | None = None) -> Upstream | None:
        """The less busy of two, which are taken in turn and at random; None where there is none.

        (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001.) Where none is
        usable, any may be: nobody should refuse what might have been served.

        Args:
            not_this: the one not to ask, where there is another.
        """
        choice = self._choice
        if not_this is not None and len(choice) > 1:
            choice = [one for one in choice if one is not not_this]
        count = len(choice)
        if count < 2:  # noqa: PLR2004  # with two there is a choice
            return choice[0] if choice else None
        self._turn += 1
        first = self._turn % count
        other = 1 + (self._entropy.bits(_BITS) % (count - 1) if count > 2 else 0)  # noqa: PLR2004  # likewise
        one, two = choice[first], choice[(first + other) % count]
        return one if one.in_flight <= two.in_flight else two

    # Who is there.

    async def _keep_resolving(self) -> None:
        while True:
            await asyncio.sleep(RESOLVE_EVERY_S)
            await self._resolve()

    async def _resolve(self) -> None:
        found: set[Address] = set()
        for place in self._places:
            try:
                found |= await place.addresses()
            except OSError as error:
                # Whoever answers goes on being asked, whatever the name service says.
                _log.warning(
                    "name_not_resolved", service=self.name, host=place.host, reason=str(error)
                )
                found |= {one for one in self._all if self._all[one].ready}
        for address in self._all.keys() - found:
            self._watching.pop(address).cancel()
            self._all.pop(address).close()
        for address in found - self._all.keys():
            upstream = Upstream(address, self._clock, self._changed)
            self._all[address] = upstream
            self._watching[address] = asyncio.create_task(self._watch(upstream))
        self._changed()

    # How they are.

    async def _watch(self, upstream: Upstream) -> None:
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            with suppress(Exception):  # whatever it is, it must be looked at again
                await self._ask(upstream)

    async def _ask(self, upstream: Upstream) -> None:
        answer = await probe(upstream.address)
        if answer in (Answer.READY, Answer.UNREADY):
            upstream.said(ready=answer is Answer.READY)
            return
        upstream.unheard()
        if self._clock.monotonic() - upstream.heard_at > self._silence_s:
            upstream.break_off()

    def _changed(self) -> None:
        every = list(self._all.values())
        self._choice = [one for one in every if one.usable] or every
        if not self.reached and any(one.ready for one in every):
            self.reached = True
