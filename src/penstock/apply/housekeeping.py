"""What has to go, goes: expired records, tombstones, outcomes, entries, dropped collections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from penstock.errors import Unavailable
from penstock.ports.catalog import Catalog
from penstock.ports.clock import Clock
from penstock.ports.log import Bounds, Log
from penstock.ports.store import Store
from penstock.records.operation import CLIENT_RETENTION_MS
from penstock.records.position import Partition, Position, position, reaches
from penstock.telemetry.logs import logger

_EVERY_MS: Final = 10_000
_SETTLE_EVERY_MS: Final = 60_000
_GRACE_MS: Final = 15_000
"""How long after a drop any process may still take the collection for there."""

_log = logger("housekeeping")


class Housekeeping:
    """Runs between slices: a little every ten seconds, and on as long as there is more."""

    def __init__(
        self, log: Log, store: Store, catalog: Catalog, clock: Clock, log_retention_ms: int
    ) -> None:
        self._log = log
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._retention_ms = log_retention_ms
        self._next = 0
        self._next_settling = 0
        self._settled: list[Position] = []
        self._drops: dict[str, Mapping[Partition, Bounds]] = {}

    async def run(self) -> None:
        """Do what is due; what fails for the moment is left for the next time."""
        now = self._clock.now()
        if now < self._next:
            return
        self._next = now + _EVERY_MS
        try:
            gone = await self._store.sweep(now, now - CLIENT_RETENTION_MS)
            await self._remove_dropped(now)
            gone += await self._trim(now)
        except Unavailable as error:
            _log.warning("housekeeping_put_off", reason=str(error))
        else:
            self._next = now if gone else self._next

    async def _remove_dropped(self, now: int) -> None:
        """Remove a dropped collection's records once no entry for it can come any more.

        After the grace every process has seen the mark, so the log's end of that moment bounds
        the entries for it; when these are applied (that is, rejected), nothing creates it again.
        """
        for collection in await self._catalog.dropped():
            assert collection.dropped_at is not None
            if now < collection.dropped_at + _GRACE_MS:
                continue
            ends = self._drops.get(collection.id)
            if ends is None:
                ends = self._drops[collection.id] = await self._log.bounds()
            if await self._applied_to(ends):
                await self._store.remove(collection.id)
                await self._catalog.forget(collection.id)
                del self._drops[collection.id]
                _log.info("collection_removed", collection_id=collection.id)

    async def _applied_to(self, ends: Mapping[Partition, Bounds]) -> bool:
        applied = {part: one.position for part, one in (await self._store.applied()).items()}
        return all(
            bounds.end == bounds.start
            or reaches(applied, position(part.generation, part.number, bounds.end - 1))
            for part, bounds in ends.items()
        )

    async def _trim(self, now: int) -> int:
        """Entries go when they are old, applied, and the applying would survive the machine."""
        if now >= self._next_settling:
            self._next_settling = now + _SETTLE_EVERY_MS
            applied = await self._store.applied()
            await self._store.settle()
            self._settled = [one.position for one in applied.values()]
        return sum([await self._log.trim(one, now - self._retention_ms) for one in self._settled])
