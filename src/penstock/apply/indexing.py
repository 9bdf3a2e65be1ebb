"""Indexes as the collections' settings ask for them: made, and removed, beside the worker."""

from __future__ import annotations

import asyncio
from typing import Final

from penstock.errors import Unavailable
from penstock.ports.catalog import Catalog
from penstock.ports.clock import Clock
from penstock.ports.store import Store
from penstock.records.collection import Collection, Rules
from penstock.telemetry.logs import logger

_EVERY_S: Final = 0.5
_OVERLAP_MS: Final = 60_000
"""How far the clocks of the processes that change collections may be apart."""

_log = logger("indexing")


class Indexing:
    """Looks at what has changed, twice a second, and makes one index at a time."""

    def __init__(self, store: Store, catalog: Catalog, clock: Clock) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._since = 0
        self._done: dict[str, int] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self._look()
            except Unavailable as error:
                _log.warning("indexing_put_off", reason=str(error))
            except Exception:  # noqa: BLE001  # a defect here keeps no record from being applied
                _log.exception("indexing_failed")
            await asyncio.sleep(_EVERY_S)

    async def _look(self) -> None:
        now = self._clock.now()
        for collection in await self._catalog.changed(self._since):
            if self._done.get(collection.id) != collection.revision:
                await self._settle(collection)
                self._done[collection.id] = collection.revision
        self._since = now - _OVERLAP_MS

    async def _settle(self, collection: Collection) -> None:
        wanted = {one.name: one for one in Rules(collection.settings).indexes}
        there = await self._store.indexes(collection.id)
        for name in there.keys() - wanted.keys():
            await self._store.unbuild(collection.id, name)
            _log.info("index_removed", collection_id=collection.id, index=name)
        for name, index in wanted.items():
            # One that did not fit is tried again with each change of the settings.
            if name not in there or not there[name].is_ready:
                await self._store.build(collection.id, index)
                _log.info("index_built", collection_id=collection.id, index=name)
