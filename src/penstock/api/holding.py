"""The bytes of bodies in hand, of all requests together: memory that no client may use up."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from penstock.errors import Unavailable

_STREAMS_SHARE: Final = 0.75
"""Of the budget, how much streams may fill: the rest is for whom there is nothing to wait for."""
_AGAIN_S: Final = 1.0


class Holding:
    """A budget in bytes. Whole bodies that do not fit are refused, streams wait for room.

    Attributes:
        used: bytes in hand.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._streams_most = int(_STREAMS_SHARE * most)
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.used = 0

    def fits(self, size: int) -> bool:
        return self.used + size <= self._most

    def take(self, size: int) -> None:
        """Take room for a part of a whole body. Raises `Unavailable` (`overloaded`)."""
        if not self.fits(size):
            raise Unavailable("overloaded", retry_after=_AGAIN_S)
        self.used += size

    async def room(self, size: int) -> None:
        """Take room for a part of a stream, in turn, as soon as there is some.

        One that is larger than all there is has it for itself.
        """
        if self._waiting or not self._has_room(size):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((size, future))
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self.give(size)
                raise
            return
        self.used += size

    def give(self, size: int) -> None:
        """What was taken is not in hand any more."""
        self.used -= size
        while self._waiting:
            wanted, future = self._waiting[0]
            if not future.done():
                if not self._has_room(wanted):
                    return
                self.used += wanted
                future.set_result(None)
            self._waiting.popleft()

    def _has_room(self, size: int) -> bool:
        return self.used + size <= self._streams_most or not self.used
