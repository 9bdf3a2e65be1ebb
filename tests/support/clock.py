"""A clock that is set by hand."""

from __future__ import annotations

import time


class HandClock:
    """`ports.clock.Clock` whose wall time stands still until it is moved.

    Monotonic time goes on, since event loops sleep by it, and is moved along.
    """

    def __init__(self, now: int = 1_767_225_600_000) -> None:
        self._now = now
        self._moved_s = 0.0

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return time.monotonic() + self._moved_s

    def advance(self, milliseconds: int) -> None:
        self._now += milliseconds
        self._moved_s += milliseconds / 1000

    def set_back(self, milliseconds: int) -> None:
        """As when an operator corrects the wall time; monotonic time knows nothing of it."""
        self._now -= milliseconds
