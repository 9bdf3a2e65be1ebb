"""A breaker: what fails again and again is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_FAILURES: Final = 3
_OPEN_S: Final = 1.0


class Breaker:
    """Closed until `_FAILURES` in a row; then open for `_OPEN_S`, after which one call tries."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failures = 0
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether to leave it alone. While it is open, one caller a period is let through."""
        if self._failures < _FAILURES:
            return False
        now = self._monotonic()
        if now < self._until:
            return True
        self._until = now + _OPEN_S
        return False

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> bool:
        """Note a failure; True where it opens the breaker."""
        self._failures += 1
        if self._failures < _FAILURES:
            return False
        self._until = self._monotonic() + _OPEN_S
        return self._failures == _FAILURES
