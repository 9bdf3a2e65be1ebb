"""How far the store is behind the log, partition by partition."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from penstock.errors import LogDiverged, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.log import Bounds
from penstock.ports.store import Applied
from penstock.records.operation import Entry
from penstock.records.position import Partition, Position, parse, position
from penstock.telemetry.metrics import Metrics

_EVERY_S: Final = 2.0


class Log(Protocol):
    """What is asked of `ports.log.Log`."""

    async def bounds(self) -> Mapping[Partition, Bounds]: ...

    async def entry(self, position: Position, /) -> Entry | None: ...


class Store(Protocol):
    """What is asked of `ports.store.Store`."""

    async def applied(self) -> Mapping[Partition, Applied]: ...


class Lag(NamedTuple):
    """Of a partition: entries that are not applied, and the age of the oldest in seconds."""

    partition: Partition
    entries: int
    seconds: float


async def lags(log: Log, store: Store, clock: Clock) -> list[Lag]:
    """Of all partitions, in their order. Raises `Unavailable`."""
    found: list[Lag] = []
    for partition, (first, count, _) in sorted((await _behind(log, store)).items()):
        entry = await log.entry(position(*partition, first)) if count else None
        age_ms = 0 if entry is None else max(clock.now() - entry.time, 0)
        found.append(Lag(partition, count, age_ms / 1000))
    return found


class _Behind(NamedTuple):
    """The first offset that is not applied, how many there are, and the time of the one before."""

    first: int
    entries: int
    since: int | None


async def _behind(log: Log, store: Store) -> Mapping[Partition, _Behind]:
    # In this order: what is applied is in the log that is looked at then.
    applied = await store.applied()
    found: dict[Partition, _Behind] = {}
    for partition, bounds in (await log.bounds()).items():
        known = applied.get(partition)
        first = bounds.start if known is None else parse(known.position).offset + 1
        since = None if known is None else known.time
        found[partition] = _Behind(first, max(bounds.end - first, 0), since)
    return found


class LagWatch:
    """Keeps the metrics of lag, in every process with a worker: whoever may apply a partition.

    An age is at most what it says, and reads no entry: the oldest that is not applied is younger
    than the last that is, and than the last moment at which all were.
    """

    def __init__(self, log: Log, store: Store, clock: Clock, metrics: Metrics) -> None:
        self._log = log
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._level: dict[Partition, int] = {}
        """When all of a partition was known to be applied, ms since 1970."""

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            # What cannot be asked stays as it was; that the engine is away has its own metrics, and
            # that the log is another one is the worker's to find, and to end for.
            with suppress(Unavailable, LogDiverged):
                await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Look once. Raises `Unavailable`, `LogDiverged`."""
        now = self._clock.now()
        for partition, behind in (await _behind(self._log, self._store)).items():
            labels = str(partition.generation), str(partition.number)
            age_ms = 0
            if behind.entries:
                age_ms = max(now - await self._since(partition, behind, now), 0)
            else:
                self._level[partition] = now
            self._metrics.lag_entries.of(*labels).set(behind.entries)
            self._metrics.lag_seconds.of(*labels).set(age_ms / 1000)

    async def _since(self, partition: Partition, behind: _Behind, now: int) -> int:
        known = [one for one in (behind.since, self._level.get(partition)) if one is not None]
        if known:
            return max(known)
        entry = await self._log.entry(position(*partition, behind.first))
        return now if entry is None else entry.time
