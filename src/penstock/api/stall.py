"""Clients that ask and then do not read."""

from __future__ import annotations

import asyncio

from penstock.api.pace import LEAST_RATE


class StallWatch:
    """Drops a connection while an answer waits, and of what waits too little is read.

    That is: in `idle_s` seconds neither all of it, nor `LEAST_RATE` bytes a second.
    """

    def __init__(self, transport: asyncio.Transport, idle_s: float) -> None:
        self._transport = transport
        self._idle_s = idle_s
        self._least = int(LEAST_RATE * idle_s)
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The answer waits."""
        self._watch(self._transport.get_write_buffer_size())

    def end(self) -> None:
        """It waits no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, unsent: int) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._idle_s, self._check, unsent)

    def _check(self, unsent_before: int) -> None:
        unsent = self._transport.get_write_buffer_size()
        if unsent <= max(0, unsent_before - self._least):
            self._watch(unsent)
        else:
            self._transport.abort()
