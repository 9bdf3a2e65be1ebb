"""How late an event loop wakes: what every request in it waits for, whatever else it waits for."""

from __future__ import annotations

import asyncio
from typing import Final

from penstock.telemetry.series import Histogram

_EVERY_S: Final = 0.1


class LoopLag:
    """Notes, ten times a second, how much later than asked for it was woken."""

    def __init__(self, seconds: Histogram) -> None:
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """On the loop that runs."""
        loop = asyncio.get_running_loop()
        self._wait(loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + _EVERY_S
        self._timer = loop.call_at(due, self._woken, loop, due)

    def _woken(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._seconds.note(max(loop.time() - due, 0))
        self._wait(loop)
