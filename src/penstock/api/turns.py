"""Turns: of what takes the event loop for milliseconds, one piece at a time."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Lets one piece of work begin in each turn of the event loop, first come, first served."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_taken = False

    async def mine(self) -> None:
        """Return when it is the caller's turn; at once, where nobody had this one."""
        loop = asyncio.get_running_loop()
        if not self._is_taken:
            self._is_taken = True
            loop.call_soon(self._next)
            return
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        await future

    def _next(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                asyncio.get_running_loop().call_soon(self._next)
                return
        self._is_taken = False
