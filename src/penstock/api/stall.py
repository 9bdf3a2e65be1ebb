"""Clients that ask and then do not read."""

from __future__ import annotations

import asyncio


class StallWatch:
    """Drops a connection on which nothing is read for `idle_s` seconds while an answer waits."""

    def __init__(self, transport: asyncio.Transport, idle_s: float) -> None:
        self._transport = transport
        self._idle_s = idle_s
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
        if unsent < unsent_before:
            self._watch(unsent)
        else:
            self._transport.abort()
