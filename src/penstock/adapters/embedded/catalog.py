"""The catalog in one SQLite file, read from memory: no other process changes it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from penstock.adapters.embedded.database import (
    check_time,
    connect,
    query,
    store_errors,
    transaction,
)
from penstock.ports.entropy import Entropy
from penstock.records.collection import Collection, Settings

_ID_BITS: Final = 64
_CACHE_KIB: Final = 1024
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS collections(
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    dropped_at INTEGER
);
CREATE UNIQUE INDEX IF NOT EXISTS collections_name ON collections(tenant, name)
    WHERE dropped_at IS NULL;
CREATE TABLE IF NOT EXISTS revisions(
    collection_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    settings TEXT NOT NULL,
    PRIMARY KEY (collection_id, revision)
);
"""

_encode: Final = msgspec.json.Encoder().encode
_compared: Final = msgspec.json.Encoder(order="deterministic").encode
"""As JSON, since to Python 1 is True, and a schema that asks for one is not one for the other."""
_decode: Final = msgspec.json.Decoder(Settings).decode


class EmbeddedCatalog:
    """`ports.catalog.Catalog` on one file, synchronised at each commit.

    Changes are rare, and each waits for the disk: they are made on other threads, under a lock, so
    that no event loop waits with them.
    """

    def __init__(self, path: Path, entropy: Entropy) -> None:
        self._entropy = entropy
        self._connection = connect(path, "FULL", _CACHE_KIB)
        self._lock = threading.Lock()
        with transaction(self._connection):
            self._connection.execute(_SCHEMA)
        self._settings = {
            (row[0], row[1]): _decode(row[2])
            for row in query(self._connection, "SELECT * FROM revisions")
        }
        self._by_id = {
            row[0]: self._collection(row)
            for row in query(self._connection, "SELECT * FROM collections")
        }
        self._by_name = {
            (one.tenant, one.name): one for one in self._by_id.values() if one.dropped_at is None
        }

    async def put(self, tenant: str, name: str, settings: Settings, now: int) -> Collection:
        return await asyncio.to_thread(self._put, tenant, name, settings, now)

    def _put(self, tenant: str, name: str, settings: Settings, now: int) -> Collection:
        with self._lock:
            known = self._by_name.get((tenant, name))
            if known is not None and _compared(known.settings) == _compared(settings):
                return known
            if known is None:
                fresh = f"{self._entropy.bits(_ID_BITS):016x}"
                changed = Collection(fresh, tenant, name, 1, settings, now, now)
            else:
                changed = msgspec.structs.replace(
                    known, revision=known.revision + 1, settings=settings, updated_at=now
                )
            self._keep(changed)
            return changed

    async def get(self, tenant: str, name: str, time_s: float | None = None) -> Collection | None:
        check_time(time_s)
        return self._by_name.get((tenant, name))

    async def list(self, tenant: str) -> Sequence[Collection]:
        own = [one for one in list(self._by_name.values()) if one.tenant == tenant]
        return sorted(own, key=lambda one: one.name)

    async def drop(self, tenant: str, name: str, now: int) -> Collection | None:
        return await asyncio.to_thread(self._drop, tenant, name, now)

    def _drop(self, tenant: str, name: str, now: int) -> Collection | None:
        with self._lock:
            known = self._by_name.get((tenant, name))
            if known is None:
                return None
            dropped = msgspec.structs.replace(known, dropped_at=now)
            self._keep(dropped)
            return dropped

    async def by_id(self, collection_id: str) -> Collection | None:
        return self._by_id.get(collection_id)

    async def settings(self, collection_id: str, revision: int) -> Settings | None:
        return self._settings.get((collection_id, revision))

    async def changed(self, since: int) -> Sequence[Collection]:
        return [one for one in list(self._by_name.values()) if one.updated_at >= since]

    async def dropped(self) -> Sequence[Collection]:
        return [one for one in list(self._by_id.values()) if one.dropped_at is not None]

    async def forget(self, collection_id: str) -> None:
        """The ids are random and 64 bits long: what is forgotten does not come again."""
        await asyncio.to_thread(self._forget, collection_id)

    def _forget(self, collection_id: str) -> None:
        with self._lock:
            with store_errors(), transaction(self._connection):
                for statement in (
                    "DELETE FROM collections WHERE id = ?",
                    "DELETE FROM revisions WHERE collection_id = ?",
                ):
                    self._connection.execute(statement, (collection_id,))
            self._by_id.pop(collection_id, None)
            for key in [one for one in self._settings if one[0] == collection_id]:
                del self._settings[key]

    async def close(self) -> None:
        self._connection.close(force=True)

    def _keep(self, changed: Collection) -> None:
        """On disk first, then in memory: what is answered is durable."""
        row = (
            changed.id, changed.tenant, changed.name, changed.revision,
            changed.created_at, changed.updated_at, changed.dropped_at,
        )  # fmt: skip
        settings = _encode(changed.settings).decode()
        with store_errors(), transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO collections VALUES (?, ?, ?, ?, ?, ?, ?)", row
            )
            self._connection.execute(
                "INSERT OR IGNORE INTO revisions VALUES (?, ?, ?)",
                (changed.id, changed.revision, settings),
            )
        self._by_id[changed.id] = changed
        self._settings[changed.id, changed.revision] = changed.settings
        if changed.dropped_at is None:
            self._by_name[changed.tenant, changed.name] = changed
        else:
            self._by_name.pop((changed.tenant, changed.name), None)

    def _collection(self, row: tuple[Any, ...]) -> Collection:
        collection_id, tenant, name, revision, created_at, updated_at, dropped_at = row
        settings = self._settings[collection_id, revision]
        return Collection(
            collection_id, tenant, name, revision, settings, created_at, updated_at, dropped_at
        )
