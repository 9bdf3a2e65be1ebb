"""How much is let in at once: a pure controller, told of time and of what came of requests.

What an event loop cannot answer soon is better refused at once: a queue that has grown serves no
one more, and everyone later. Each kind of request has a limit of its own, moved by two signals: how
long requests wait for their turn in the event loop, and how long they take in all, which tells of
the engines too. A limit relaxes while neither is strained, so that a burst is let in, and shrinks
within half a second where it does not end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

WINDOW_S: Final = 0.05
"""How often limits are adjusted."""
_LEAST_RATIO: Final = 0.5
_MOST_RATIO: Final = 1.25
_GAIN: Final = 0.25
"""Of what a window suggests, how much is done: what it brings is seen a few windows later."""


class Budget(Enum):
    """The kinds of requests that do not compete for the same places.

    Attributes:
        HEALTH: is never refused.
        READ: by id.
        WRITE: of one record.
        QUERY: whatever may take long: lists, aggregates, many ids, settings.
        STREAM: bulks and exports, which are held back rather than refused once they run.
    """

    HEALTH = "health"
    READ = "read"
    WRITE = "write"
    QUERY = "query"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a limit is to keep.

    Attributes:
        least, most: bounds of how many requests may be in hand.
        turn: how many of them begin in one turn of the event loop: what keeps its turns short.
        wait_s: the longest they should wait for it, on average.
        took_s: the longest they should take in all, on average.
    """

    least: int
    most: int
    turn: int
    wait_s: float
    took_s: float


class Limit:
    """How many requests of one kind are in hand, and how many may be.

    Attributes:
        policy: what it is to keep.
        allowed: how many may be in hand.
        in_hand: how many are.
        is_full: whether the next one is refused.
        refused: how many were, ever.
    """

    __slots__ = (
        "_begun",
        "_ended",
        "_took",
        "_waited",
        "allowed",
        "in_hand",
        "is_full",
        "policy",
        "refused",
    )

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.allowed = float(policy.most)
        self.in_hand = 0
        self.is_full = False
        self.refused = 0
        self._begun = self._ended = 0
        self._waited = self._took = 0.0

    def enter(self) -> bool:
        """Let one in, to be `ended` later; or refuse it."""
        if self.is_full:
            self.refused += 1
            return False
        self.in_hand += 1
        self.is_full = self.in_hand >= self.allowed
        return True

    def began(self, waited_s: float) -> None:
        """One begins, so long after it was let in."""
        self._begun += 1
        self._waited += waited_s

    def ended(self, took_s: float | None) -> None:
        """One is answered, so long after it was let in; None where it waited for others."""
        self.in_hand -= 1
        self.is_full = self.in_hand >= self.allowed
        if took_s is not None:
            self._ended += 1
            self._took += took_s

    def adjust(self) -> None:
        """The end of a window."""
        waited = self._waited / self._begun if self._begun else 0.0
        took = self._took / self._ended if self._ended else 0.0
        strain = max(waited / self.policy.wait_s, took / self.policy.took_s)
        ratio = min(max(1 / strain, _LEAST_RATIO), _MOST_RATIO) if strain else _MOST_RATIO
        if self.in_hand and not (self._begun or self._ended):
            # Nothing moves: no reason to let more in.
            ratio = min(ratio, 1.0)
        allowed = self.allowed * (1 + _GAIN * (ratio - 1))
        self.allowed = min(max(allowed, self.policy.least), self.policy.most)
        self.is_full = self.in_hand >= self.allowed
        self._begun = self._ended = 0
        self._waited = self._took = 0.0


_WAIT: Final = 0.1
_TOOK: Final = 0.4
_QUERY_WAIT: Final = 0.4
_QUERY_TOOK: Final = 0.6
"""Of the deadline. One query begins in a turn: most of its time it waits, and is not late yet."""
_STREAMS: Final = 64


def limits(deadline_s: float) -> dict[Budget, Limit]:
    """A limit for each kind that has one, in the order in which they have their turns.

    Those of one turn of the event loop take about four milliseconds of it together.
    """
    wait_s, took_s = _WAIT * deadline_s, _TOOK * deadline_s
    return {
        Budget.READ: Limit(Policy(32, 2_048, 64, wait_s, took_s)),
        Budget.WRITE: Limit(Policy(32, 1_024, 16, wait_s, took_s)),
        Budget.QUERY: Limit(Policy(4, 64, 1, _QUERY_WAIT * deadline_s, _QUERY_TOOK * deadline_s)),
        # A stream is paced by its own means.
        Budget.STREAM: Limit(Policy(_STREAMS, _STREAMS, 1, wait_s, took_s)),
    }
