"""Time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored and said, monotonic time for deadlines."""

    def now(self) -> int:
        """Ms since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds, never going back; the scale of every deadline, and of the event loop's time."""
        ...
