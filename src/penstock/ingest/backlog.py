"""How far the store lags behind what this process has appended: the brake of every write."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from penstock.errors import Unavailable
from penstock.ports.clock import Clock
from penstock.ports.log import Bounds, Log
from penstock.ports.store import Store
from penstock.records.position import (
    Partition,
    Position,
    Reach,
    parse,
    partition_of,
    position,
    reaches,
)

_EVERY_S: Final = 0.05


class Backlog:
    """The age of the oldest entry, of those this process knows of, that is not applied yet.

    One entry is remembered per partition and `_EVERY_S`, so the age is exact to that much.
    """

    def __init__(self, log: Log, store: Store, clock: Clock, most_ms: int) -> None:
        self._log = log
        self._store = store
        self._clock = clock
        self._most_s = most_ms / 1000
        self._waiting: dict[Partition, deque[tuple[float, Position]]] = {}
        self._oldest: float | None = None
        self._latest: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._refusal: str | None = None
        self.entries = 0
        """Between the last one noted and what is applied, over all partitions."""

    async def start(self) -> None:
        """Begin to watch; what an earlier process left behind is as old as the log says."""
        applied = await self._applied()
        for partition, bounds in (await self._log.bounds()).items():
            left = await self._left_behind(partition, bounds, applied)
            if left:
                self._waiting[partition] = deque(left)
        self._find_oldest()
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def appended(self, where: Position) -> None:
        """Note an entry of our own."""
        now = self._clock.monotonic()
        partition = where[:8]
        if now - self._latest.get(partition, 0.0) >= _EVERY_S:
            self._latest[partition] = now
            self._waiting.setdefault(partition_of(where), deque()).append((now, where))
            if self._oldest is None:
                self._oldest = now

    @property
    def lag(self) -> float:
        """Seconds; 0 where all that was noted is applied."""
        oldest = self._oldest  # which may be another one in a moment, to another thread
        return 0.0 if oldest is None else self._clock.monotonic() - oldest

    def refuse(self, reason: str) -> None:
        """Admit nothing any more."""
        self._refusal = reason

    def admit(self) -> None:
        """Raise `Unavailable`: `backlog_full` where the budget is used up."""
        if self._refusal is not None:
            raise Unavailable("shutting_down", retry_after=5, internal=self._refusal)
        if self.lag > self._most_s:
            raise Unavailable("backlog_full", retry_after=5)

    async def below(self, most_s: float) -> None:
        """Wait until the lag is at most so many seconds; raises as `admit` does."""
        self.admit()
        while self.lag > most_s:
            self.admit()
            await asyncio.sleep(_EVERY_S)

    async def _left_behind(
        self, partition: Partition, bounds: Bounds, applied: Reach
    ) -> list[tuple[float, Position]]:
        """Some of the entries of a partition that are not applied, and when they were written."""
        generation, number = partition
        last = bounds.end - 1
        if last < bounds.start or reaches(applied, position(generation, number, last)):
            return []
        known = applied.get(partition)
        first = bounds.start if known is None else max(bounds.start, parse(known).offset + 1)
        left: list[tuple[float, Position]] = []
        for offset in sorted({first, (first + last) // 2, last}):
            where = position(generation, number, offset)
            try:
                entry = await self._log.entry(where)
            except Unavailable:
                entry = None
            # One that cannot be looked at counts from now.
            age_s = max(self._clock.now() - entry.time, 0) / 1000 if entry is not None else 0.0
            left.append((self._clock.monotonic() - age_s, where))
        return left

    async def _applied(self) -> Reach:
        return {part: one.position for part, one in (await self._store.applied()).items()}

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            if self._oldest is not None:
                # A store that does not answer lets the lag grow, which is the truth.
                with suppress(Unavailable):
                    await self._drop_applied()

    async def _drop_applied(self) -> None:
        applied = await self._applied()
        # Of each partition, what was noted first is applied first. The rest need no look: after an
        # hour without workers there are hundreds of thousands.
        for partition, noted in list(self._waiting.items()):
            while noted and reaches(applied, noted[0][1]):
                noted.popleft()
            if not noted:
                del self._waiting[partition]
        self._find_oldest()
        self.entries = sum(
            parse(noted[-1][1]).offset - (parse(applied[part]).offset if part in applied else -1)
            for part, noted in self._waiting.items()
        )

    def _find_oldest(self) -> None:
        self._oldest = min((noted[0][0] for noted in self._waiting.values()), default=None)
