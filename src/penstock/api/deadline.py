"""The safety net under every request: one timer for all of them.

`asyncio.timeout` costs 5 microseconds a request under uvloop, and as much again to move it; a guard
costs half of one, and is moved by an assignment. What a request calls keeps its deadline by itself
and knows better what to answer, so the net is exact to a tick only, and hangs a little lower.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import Final, Self

from penstock.errors import PenstockError

TICK_S: Final = 0.02


class Guard:
    """Bounds the block under it: raises `late()` there once `expires_at` (monotonic s) has passed.

    Both attributes may be assigned within the block.
    """

    __slots__ = ("_expired", "_guards", "_task", "expires_at", "late")

    def __init__(
        self, guards: Deadlines, expires_at: float, late: Callable[[], PenstockError]
    ) -> None:
        self.expires_at = expires_at
        self.late = late
        self._guards = guards
        self._task: asyncio.Task[object] | None = None
        self._expired = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task(self._guards.loop)
        self._guards.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._guards.discard(self)
        # As in `asyncio.timeout`: a cancellation from elsewhere stays one.
        if self._expired and self._task is not None:
            still_cancelled = self._task.uncancel()
            if kind is asyncio.CancelledError and not still_cancelled:
                raise self.late() from error

    def expire(self) -> None:
        """Called by the timer only: the block is suspended in an `await` then."""
        if not self._expired and self._task is not None:
            self._expired = True
            self._task.cancel()


class Deadlines:
    """All guards in force. The timer runs while there are any."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._guards: set[Guard] = set()
        self._ticking = False
        self.discard = self._guards.discard

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Kept, since to be told which one runs, CPython asks the kernel each time."""
        return asyncio.get_running_loop()

    def guard(self, expires_at: float, late: Callable[[], PenstockError]) -> Guard:
        return Guard(self, expires_at, late)

    def add(self, guard: Guard) -> None:
        self._guards.add(guard)
        if not self._ticking:
            self._ticking = True
            self.loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        now = self._monotonic()
        for guard in list(self._guards):
            if guard.expires_at <= now:
                guard.expire()
        self._ticking = bool(self._guards)
        if self._ticking:
            self.loop.call_later(TICK_S, self._tick)
