"""Where requests wait for their turn, or are turned away: `admission` at work in the event loop.

A turn of the event loop reads what has arrived before it works on anything, so what is in hand is
all there is to know of, but for what arrives within the turn. Turns are kept short: only so many
requests of a kind begin in each. The others wait here, first come, first served: not long enough
for a deadline to pass. Who is turned away is told so within the turn, when nothing of the request
was looked at but its address.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from penstock.api import admission
from penstock.api.admission import WINDOW_S, Budget, Limit
from penstock.api.asgi import Scope
from penstock.api.holding import Holding
from penstock.api.refusals import Refusals
from penstock.api.response import Header
from penstock.api.router import Router
from penstock.api.skim import Skimmer
from penstock.config import Configuration
from penstock.errors import Unavailable
from penstock.telemetry.logs import logger

_COLLECTIONS: Final = b"/v1/collections/"
_RECORD_SLASHES: Final = b"/v1/collections/c/records/id".count(b"/")
_READING: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_MOST_TURNED_AWAY: Final = 64
"""In a turn; a flood of others is looked at in the next ones, so that turns stay short."""
_WRITES_BESIDE_READS: Final = 4
"""How many writes begin in a turn while reads are in hand: a read takes four turns."""
_UNKNOWN_BYTES: Final = 256 * 1024
"""What a body may come to before anyone looks at it, where it does not say."""
_TOLD_EVERY_S: Final = 1.0

_log = logger("api")


class Guest(Protocol):
    """A request, as the gate knows it.

    Attributes:
        scope: ASGI's description of it.
        line: where it has its place; None while it has none.
        since: when it was let in, in the loop's seconds.
        declared: bytes of its body for which room was taken.
    """

    scope: Scope
    line: Line | None
    since: float
    declared: int

    @property
    def has_waited(self) -> bool:
        """Whether it waited for its client or for others, which tells nothing of us."""
        ...

    def begin(self, waited_s: float) -> None:
        """It is its turn, so long after it was let in."""
        ...

    def turn_away(self) -> None:
        """There is no room for it."""
        ...


class Line:
    """The requests of one kind that wait.

    Attributes:
        limit: how many may be in hand.
        most_body: bytes of a body that is in hand as a whole; 0 for streams, which wait for room
            piece by piece.
        left: how many more may begin in this turn.
        waiting: the others.
    """

    __slots__ = ("left", "limit", "most_body", "waiting")

    def __init__(self, limit: Limit, most_body: int) -> None:
        self.limit = limit
        self.most_body = most_body
        self.left = limit.policy.turn
        self.waiting: deque[Guest] = deque()


class Gate:
    """Lets requests in, each when it is its turn.

    Args:
        router: tells what kind a request is of.
        configuration: its limits.
        prefix: of the ids of requests that are turned away unread, 10 characters.

    Attributes:
        holding: the bodies in hand.
        skimmed: how many were turned away by `refusal`.
    """

    def __init__(self, router: Router, configuration: Configuration, prefix: str) -> None:
        self._router = router
        self._lines = {
            budget: Line(limit, 0 if budget is Budget.STREAM else configuration.max_body_bytes)
            for budget, limit in admission.limits(configuration.deadline_ms / 1000).items()
        }
        self._read = self._lines[Budget.READ]
        self._write = self._lines[Budget.WRITE]
        self._in_order = tuple(self._lines.values())
        self._is_turning = self._is_ticking = False
        self._tell_at = 0.0
        self._told = 0
        self.holding = Holding(configuration.ingest_bytes)
        self._look = Skimmer().look
        self._refusals = Refusals(prefix)
        self._room_to_refuse = _MOST_TURNED_AWAY
        self._postponed: deque[tuple[Callable[[bytes], None], bytes]] = deque()
        self.skimmed = 0

    @property
    def limits(self) -> dict[Budget, Limit]:
        """Of each kind that has one."""
        return {budget: line.limit for budget, line in self._lines.items()}

    @property
    def is_crowded(self) -> bool:
        """Whether reads or writes are turned away at the moment."""
        return self._read.limit.is_full or self._write.limit.is_full

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
        if not self.holding.fits(size):
            line.limit.refused += 1
            guest.turn_away()
        elif not line.limit.enter():
            guest.turn_away()
        else:
            self.holding.take(size)
            self._enter(guest, line, size)

    def leave(self, guest: Guest) -> None:
        """It is answered, or gone."""
        line, guest.line = guest.line, None
        if line is not None:
            self.holding.give(guest.declared)
            took = None if guest.has_waited else asyncio.get_running_loop().time() - guest.since
            line.limit.ended(took)

    def refusal(self, data: bytes, date: Sequence[Header]) -> bytes | None:
        """The answer to what would be turned away, where it is as plain as most; see `skim`.

        Empty where it is to be postponed, since enough were turned away in this turn.
        """
        asked = self._look(data)
        if asked is None:
            return None
        line = self.line(asked.method.decode("ascii"), asked.path)
        if line is None or not line.limit.is_full:
            return None
        if not self._room_to_refuse:
            return b""
        self._room_to_refuse -= 1
        self._have_a_turn()
        line.limit.refused += 1
        self.skimmed += 1
        return self._refusals.next(date, asked.request_id)

    def postpone(self, again: Callable[[bytes], None], data: bytes) -> None:
        """Call with the bytes in one of the next turns."""
        self._postponed.append((again, data))

    def overloaded(self) -> Unavailable:
        """What any other one is told."""
        return self._refusals.error()

    def _enter(self, guest: Guest, line: Line, size: int) -> None:
        loop = asyncio.get_running_loop()
        guest.line, guest.since, guest.declared = line, loop.time(), size
        if line.left and not line.waiting:
            line.left -= 1
            line.limit.began(0.0)
            guest.begin(0.0)
        else:
            line.waiting.append(guest)
        self._have_a_turn()

    def _have_a_turn(self) -> None:
        if not self._is_turning:
            self._is_turning = True
            loop = asyncio.get_running_loop()
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once in every turn in which there is something to do."""
        self._is_turning = False
        now = loop.time()
        for line in self._in_order:
            most = line.limit.policy.turn
            if line is self._write and self._read.limit.in_hand:
                most = _WRITES_BESIDE_READS
            line.left = most
            waiting = line.waiting
            while waiting and line.left:
                guest = waiting.popleft()
                line.left -= 1
                waited_s = now - guest.since
                line.limit.began(waited_s)
                guest.begin(waited_s)
            if waiting:
                self._have_a_turn()
        self._look_again()
        if not self._is_ticking:
            self._is_ticking = True
            loop.call_later(WINDOW_S, self._tick, loop)

    def _look_again(self) -> None:
        """At what was postponed: there may even be room for it by now."""
        self._room_to_refuse = _MOST_TURNED_AWAY
        for _ in range(min(len(self._postponed), _MOST_TURNED_AWAY)):
            again, data = self._postponed.popleft()
            again(data)
        if self._postponed:
            self._have_a_turn()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """The end of a window. There are windows while anything is in hand, or strained."""
        now = loop.time()
        is_quiet = True
        for line in self._in_order:
            limit = line.limit
            limit.adjust()
            is_quiet = is_quiet and not limit.in_hand and limit.allowed == limit.policy.most
        if now >= self._tell_at:
            self._tell(now)
        self._is_ticking = not is_quiet
        if self._is_ticking:
            loop.call_later(WINDOW_S, self._tick, loop)

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
