"""Who waits for a turn, and where."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from penstock.api.admission import Limit
from penstock.api.asgi import Scope


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
