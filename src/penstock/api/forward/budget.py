"""How many requests may be sent a second time."""

from __future__ import annotations


class Budget:
    """Allows `burst` at once, and in the long run `part` of all that was asked.

    Repetitions help where one of several is slow or gone; where all are, they are the load that
    keeps them down.
    """

    __slots__ = ("_burst", "_left", "_part")

    def __init__(self, part: float, burst: int) -> None:
        self._part = part
        self._burst = burst
        self._left = float(burst)

    def earn(self) -> None:
        """One more was asked."""
        if self._left < self._burst:
            self._left += self._part

    def spend(self) -> bool:
        """Whether one more may be repeated."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
