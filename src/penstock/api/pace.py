"""How slow a client may be: silent for so long, and no slower than so many bytes a second.

Silence alone would let one byte every nine seconds hold a connection for ever.
"""

from __future__ import annotations

from typing import Final

LEAST_RATE: Final = 4096
"""Bytes a second: what the poorest of mobile networks carries twice over."""


class Pace:
    """Our patience with one client.

    Attributes:
        left: seconds of it; never more than at the beginning. It shrinks by what we wait, and grows
            by a second for every `LEAST_RATE` bytes.
    """

    __slots__ = ("_most", "left")

    def __init__(self, idle_s: float) -> None:
        self.left = self._most = idle_s

    def waited(self, seconds: float) -> None:
        self.left -= seconds

    def came(self, size: int) -> None:
        self.left = min(self._most, self.left + size / LEAST_RATE)

    def renew(self) -> None:
        """The client has done all that was asked of it so far."""
        self.left = self._most
