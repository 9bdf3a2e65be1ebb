"""A request on its way, and the second one that is sent after it where it takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from penstock.api.forward.budget import Budget
from penstock.api.forward.fleet import Fleet
from penstock.api.forward.link import Broken, Link, Reply
from penstock.api.forward.upstream import Upstream

_TICK_S: Final = 0.005
_LEAST_S: Final = 0.01
_MOST_S: Final = 0.1
_SLOW: Final = 0.05
"""The part of the answers that count as slow."""
_STEP: Final = 0.02
_PART: Final = 0.05
_BURST: Final = 64


class Race:
    """A request, at one upstream or two; the first answer is the answer.

    Attributes:
        reply: the answer; fails with `Broken` when all who were asked are gone.
        asked: who was asked first.
    """

    __slots__ = ("_entering", "_links", "_message", "asked", "began", "reply")

    def __init__(self, message: bytes, began: float) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.asked: Upstream | None = None
        self.began = began
        self._message = message
        self._links: list[tuple[Link, Upstream]] = []
        self._entering = 0

    async def enter(self, upstream: Upstream) -> None:
        """Ask. Raises `Broken` where nothing could be sent."""
        if self.asked is None:
            self.asked = upstream
        self._entering += 1
        try:
            link = await upstream.ask(self, self._message)
        finally:
            self._entering -= 1
        self._links.append((link, upstream))

    def close(self) -> None:
        """Give up what has no answer."""
        late = self.reply.cancelled()
        for link, upstream in self._links:
            if late:
                upstream.strike()
            upstream.abandon(link)
        self._links = []

    # What a link calls.

    def answered(self, link: Link, reply: Reply) -> None:
        upstream = self._leave(link)
        if self.reply.done():
            return
        upstream.worked()
        if upstream is not self.asked and self.asked is not None:
            self.asked.strike()
        self.reply.set_result(reply)

    def failed(self, link: Link) -> None:
        self._leave(link).strike()
        self.gone()

    def gone(self) -> None:
        """One less is asked: if it was the last, there will be no answer."""
        if not (self._links or self._entering or self.reply.done()):
            self.reply.set_exception(Broken())

    def _leave(self, link: Link) -> Upstream:
        for place, (one, upstream) in enumerate(self._links):
            if one is link:
                del self._links[place]
                return upstream
        raise AssertionError("a link is told of once")


class Hedging:
    """Sends a second request where the first takes longer than all but a twentieth do.

    (Dean and Barroso, The Tail at Scale, 2013.) The delay follows the latencies, between `_LEAST_S`
    and `_MOST_S`; at most a twentieth of all requests are sent twice, and a burst of `_BURST`.
    One timer looks after all of them: a timer each would cost more than the choice of an upstream.
    """

    def __init__(self, fleet: Fleet, monotonic: Callable[[], float]) -> None:
        self.delay_s = _MOST_S / 2
        self.sent = 0
        """How many were sent a second time."""
        self._fleet = fleet
        self._monotonic = monotonic
        self._budget = Budget(_PART, _BURST)
        self._watched: dict[Race, None] = {}
        self._second: set[asyncio.Task[None]] = set()
        self._ticking = False

    def watch(self, race: Race) -> None:
        """From now on it may be sent again."""
        self._budget.earn()
        self._watched[race] = None
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def forget(self, race: Race) -> None:
        """It has its answer, or needs none."""
        self._watched.pop(race, None)
        took_s = self._monotonic() - race.began
        # The delay settles where a twentieth of the answers take longer.
        up = took_s > self.delay_s
        factor = 1 + _STEP if up else 1 - _STEP * _SLOW / (1 - _SLOW)
        self.delay_s = min(max(self.delay_s * factor, _LEAST_S), _MOST_S)

    def _tick(self) -> None:
        before = self._monotonic() - self.delay_s
        for race in list(self._watched):
            if race.began > before:
                break
            other = self._fleet.choose(race.asked)
            # Where there is no other, or too much was sent twice, there may be later.
            if other is not None and other is not race.asked and self._budget.spend():
                del self._watched[race]
                task = asyncio.create_task(self._again(race, other))
                self._second.add(task)
                task.add_done_callback(self._second.discard)
        self._ticking = bool(self._watched)
        if self._ticking:
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    async def _again(self, race: Race, other: Upstream) -> None:
        try:
            await race.enter(other)
        except Broken:
            race.gone()
            if not race.reply.done():
                self._watched[race] = None
            return
        self.sent += 1
        if race.reply.done():
            race.close()
