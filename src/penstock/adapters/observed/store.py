"""A store whose calls are timed, those within a batch as well."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from penstock.adapters.observed.timed import Meter, Timed, timed
from penstock.ports.store import Store, StoreBatch
from penstock.records.record import State


class ObservedStore(Timed):
    """`ports.store.Store`, handed on."""

    def __init__(self, store: Store, meter: Meter) -> None:
        super().__init__(store, meter)
        self._store = store
        self._get = timed(store.get, meter.seconds("get"), meter)
        self._records = meter.metrics.read_records.of("store")
        self._batch_seconds = meter.seconds("batch")

    async def get(
        self, collection_id: str, record_ids: Sequence[str], time_s: float | None = None
    ) -> dict[str, State]:
        self._records.note(len(record_ids))
        found: dict[str, State] = await self._get(collection_id, record_ids, time_s)
        return found

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[StoreBatch]:
        began = self._meter.monotonic()
        try:
            async with self._store.batch() as batch:
                yield cast("StoreBatch", Timed(batch, self._meter))
        finally:
            self._batch_seconds.note(self._meter.monotonic() - began)


def observed(store: Store, meter: Meter) -> Store:
    return cast("Store", ObservedStore(store, meter))
