"""Where requests wait for their turn, or are turned away: `admission` at work in the event loop.

A turn of the event loop reads what has arrived before it works on anything, so what is in hand is
all there is to know of, but for what arrives within the turn. Turns are kept short: only so many
requests of a kind begin in each. The others wait here, first come, first served: not long enough
for a deadline to pass. Who is turned away is told so within the turn, when nothing of the request
was looked at but its address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from typing import Final

from penstock.api import admission
from penstock.api.admission import WINDOW_S, Budget, Limit
from penstock.api.holding import Holding
from penstock.api.line import Guest, Line
from penstock.api.response import Header
from penstock.api.router import Router
from penstock.api.short import Caller, ShortWay
from penstock.config import Configuration
from penstock.errors import Unavailable
from penstock.telemetry.logs import logger

_COLLECTIONS: Final = b"/v1/collections/"
_RECORD_SLASHES: Final = b"/v1/collections/c/records/id".count(b"/")
_READING: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_WRITES_BESIDE_READS: Final = 4
"""How many writes begin in a turn that has reads too: a read takes two turns, or more."""
_UNKNOWN_BYTES: Final = 256 * 1024
"""What a body may come to before anyone looks at it, where it does not say."""
_PATIENCE: Final = 0.5
"""Of the deadline: who has waited for so long is turned away, while that is still in time."""
_GIVEN_UP: Final = 64
"""Of these in a turn, which cost more than those that were not read."""
_TOLD_EVERY_S: Final = 1.0

_log = logger("api")


class Gate:
    """Lets requests in, each when it is its turn.

    Args:
        router: tells what kind a request is of.
        configuration: its limits.
        prefix: of the ids of requests that are turned away unread, 10 characters.

    Attributes:
        holding: the bodies in hand.
        short: turns away what has not been read.
    """

    def __init__(self, router: Router, configuration: Configuration, prefix: str) -> None:
        self._router = router
        self._lines = {
            budget: Line(limit, 0 if budget is Budget.STREAM else configuration.max_body_bytes)
            for budget, limit in admission.limits(configuration.deadline_ms / 1000).items()
        }
        self._read = self._lines[Budget.READ]
        self._write = self._lines[Budget.WRITE]
        self._query = self._lines[Budget.QUERY].limit
        self._in_order = tuple(self._lines.values())
        self._patience_s = _PATIENCE * configuration.deadline_ms / 1000
        self._is_turning = self._is_ticking = False
        self._tell_at = 0.0
        self._told = 0
        self.holding = Holding(configuration.ingest_bytes)
        self.short = ShortWay(self.line, self._have_a_turn, prefix)

    @property
    def limits(self) -> dict[Budget, Limit]:
        """Of each kind that has one."""
        return {budget: line.limit for budget, line in self._lines.items()}

    def turns_away(self, caller: Caller, data: bytes) -> bool:
        """Whether it does, unread: where there is no room for a kind of which there may be many."""
        is_crowded = self._read.limit.is_full or self._write.limit.is_full or self._query.is_full
        return is_crowded and caller.is_free and self.short.turns_away(caller, data)

    def line(self, method: str, path: bytes) -> Line | None:
        """Where a request for a raw path has to wait; None where it has not, and is always let in.

        For what there is most of, without the router.
        """
        if path.count(b"/") == _RECORD_SLASHES and path.startswith(_COLLECTIONS):
            return self._read if method in _READING else self._write
        place, _ = self._router.find(path)
        route = place.routes.get(method) if place else None
        # Where there is nothing, that is soon said.
        return self._lines.get(route.budget) if route else self._read

    def receive(self, guest: Guest) -> None:
        """Let it in, to begin now or later and to `leave`, or turn it away."""
        method = guest.scope["method"]
        line = self.line(method, guest.scope["raw_path"])
        if line is None:
            guest.begin(0.0)
            return
        size = 0 if method in _READING else _declared(guest.scope["headers"], line.most_body)
        if size and not self.holding.fits(size):
            line.limit.refused += 1
            guest.turn_away()
        elif not line.limit.enter():
            guest.turn_away()
        else:
            if size:
                self.holding.take(size)
            guest.line, guest.since, guest.declared = line, self._loop.time(), size
            if line.left and not line.waiting:
                line.left -= 1
                line.limit.began(0.0)
                guest.begin(0.0)
            else:
                line.waiting.append(guest)
            self._have_a_turn()

    def leave(self, guest: Guest) -> None:
        """It is answered, or gone."""
        line = guest.line
        if line is not None:
            took = None if guest.has_waited else self._loop.time() - guest.since
            self._let_go(guest, line, took)

    def overloaded(self) -> Unavailable:
        """What any other one is told."""
        return self.short.refusals.error()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """Kept, since to be told which one runs, CPython asks the kernel each time."""
        return asyncio.get_running_loop()

    def _have_a_turn(self) -> None:
        if not self._is_turning:
            self._is_turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Once in every turn in which there is something to do."""
        self._is_turning = False
        now = self._loop.time()
        read = self._read
        is_reading = read.limit.in_hand or read.left < read.limit.policy.turn
        for line in self._in_order:
            most = line.limit.policy.turn
            if line is self._write and is_reading:
                most = _WRITES_BESIDE_READS
            line.left = most
            self._begin(line, now)
            if line.waiting:
                self._have_a_turn()
        self.short.turn()
        if not self._is_ticking:
            self._is_ticking = True
            self._loop.call_later(WINDOW_S, self._tick)

    def _begin(self, line: Line, now: float) -> None:
        """With those that are next, and without those that waited for too long."""
        waiting = line.waiting
        given_up = 0
        while waiting:
            waited_s = now - waiting[0].since
            is_late = waited_s > self._patience_s
            if given_up == _GIVEN_UP if is_late else not line.left:
                break
            guest = waiting.popleft()
            line.limit.began(waited_s)
            if is_late:
                given_up += 1
                line.limit.refused += 1
                self._let_go(guest, line, None)
                guest.turn_away()
            else:
                line.left -= 1
                guest.begin(waited_s)

    def _let_go(self, guest: Guest, line: Line, took_s: float | None) -> None:
        """Its place and the room for its body are free."""
        guest.line = None
        if guest.declared:
            self.holding.give(guest.declared)
        line.limit.ended(took_s)

    def _tick(self) -> None:
        """The end of a window. There are windows while anything is in hand, or strained."""
        now = self._loop.time()
        is_quiet = True
        for line in self._in_order:
            limit = line.limit
            limit.adjust()
            is_quiet = is_quiet and not limit.in_hand and limit.allowed == limit.policy.most
        if now >= self._tell_at:
            self._tell(now)
        self._is_ticking = not is_quiet
        if self._is_ticking:
            self._loop.call_later(WINDOW_S, self._tick)

    def _tell(self, now: float) -> None:
        refused = {budget.value: limit.refused for budget, limit in self.limits.items()}
        total = sum(refused.values())
        if total > self._told:
            allowed = {budget.value: int(limit.allowed) for budget, limit in self.limits.items()}
            _log.warning("requests_turned_away", so_far=refused, allowed=allowed)
            self._told = total
            self._tell_at = now + _TOLD_EVERY_S


def _declared(headers: Sequence[Header], most: int) -> int:
    """How many bytes of a body will be in hand: none of one that is larger is taken."""
    for name, value in headers:
        if name == b"content-length":
            return min(int(value), most)
        if name == b"transfer-encoding":
            return min(_UNKNOWN_BYTES, most)
    return 0
