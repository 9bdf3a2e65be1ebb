"""Something done again and again in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from penstock.telemetry.logs import logger

_log = logger("access")


class Rounds:
    """Calls `step`, with a pause of `every_s` seconds after each call."""

    def __init__(self, step: Callable[[], Awaitable[None]], every_s: float) -> None:
        self._step = step
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._step()
            except Exception:  # noqa: BLE001  # because what was revoked must be noticed all the same
                _log.exception("round_failed")
            await asyncio.sleep(self._every_s)
