"""The keyring in one SQLite file, read from memory: no other process changes it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from penstock.adapters.embedded.database import connect, query, store_errors, transaction
from penstock.records.key import EXPIRED_KEPT_MS, Key

_CACHE_KIB: Final = 1024
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS keys(
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL
) WITHOUT ROWID;
"""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Key).decode


class EmbeddedKeyring:
    """`ports.keyring.Keyring` on one file, synchronised at each commit.

    Changes are rare, and each waits for the disk: they are made on other threads, under a lock, so
    that no event loop waits with them.
    """

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, "FULL", _CACHE_KIB)
        self._lock = threading.Lock()
        with transaction(self._connection):
            self._connection.execute(_SCHEMA)
        self._by_id: dict[str, Key] = {}
        self._by_digest: dict[bytes, Key] = {}
        for row in query(self._connection, "SELECT key FROM keys"):
            self._learn(_decode(row[0]))

    async def put(self, key: Key) -> None:
        await asyncio.to_thread(self._put, key)

    def _put(self, key: Key) -> None:
        with self._lock:
            self._keep(key)
            self._sweep(key.created_at)

    async def find(self, digests: Sequence[bytes]) -> Mapping[bytes, Key]:
        known = self._by_digest
        return {one: known[one] for one in digests if one in known}

    async def get(self, tenant: str, key_id: str) -> Key | None:
        key = self._by_id.get(key_id)
        return key if key is not None and key.tenant == tenant else None

    async def list(self, tenant: str, after: str, limit: int) -> Sequence[Key]:
        every = list(self._by_id.values())
        own = [one for one in every if one.tenant == tenant and one.id > after]
        return sorted(own, key=lambda one: one.id)[:limit]

    async def revoke(self, tenant: str, key_id: str) -> Key | None:
        return await asyncio.to_thread(self._revoke, tenant, key_id)

    def _revoke(self, tenant: str, key_id: str) -> Key | None:
        with self._lock:
            key = self._by_id.get(key_id)
            if key is None or key.tenant != tenant:
                return None
            self._remove([key])
            return key

    async def rotate(self, key_id: str, key: Key, until: int) -> Key | None:
        return await asyncio.to_thread(self._rotate, key_id, key, until)

    def _rotate(self, key_id: str, key: Key, until: int) -> Key | None:
        with self._lock:
            old = self._by_id.get(key_id)
            if old is None or old.tenant != key.tenant:
                return None
            expires_at = until if old.expires_at is None else min(old.expires_at, until)
            replaced = msgspec.structs.replace(old, replaced_by=key.id, expires_at=expires_at)
            self._keep(key, replaced)
            return replaced

    async def touch(self, used: Mapping[str, int]) -> None:
        await asyncio.to_thread(self._touch, used)

    def _touch(self, used: Mapping[str, int]) -> None:
        with self._lock:
            changed = [
                msgspec.structs.replace(key, last_used_at=time)
                for key_id, time in used.items()
                if (key := self._by_id.get(key_id)) is not None and (key.last_used_at or 0) < time
            ]
            self._keep(*changed)

    async def close(self) -> None:
        self._connection.close(force=True)

    def _keep(self, *keys: Key) -> None:
        """On disk first, then in memory: what is answered is durable."""
        with store_errors(), transaction(self._connection):
            self._connection.executemany(
                "INSERT OR REPLACE INTO keys VALUES (?, ?)",
                ((one.id, _encode(one).decode()) for one in keys),
            )
        for one in keys:
            self._learn(one)

    def _sweep(self, now: int) -> None:
        """Remove what expired long ago."""
        before = now - EXPIRED_KEPT_MS
        every = self._by_id.values()
        old = [one for one in every if one.expires_at is not None and one.expires_at < before]
        if old:
            self._remove(old)

    def _remove(self, keys: Sequence[Key]) -> None:
        with store_errors(), transaction(self._connection):
            self._connection.executemany(
                "DELETE FROM keys WHERE id = ?", ((one.id,) for one in keys)
            )
        for one in keys:
            del self._by_id[one.id]
            del self._by_digest[one.digest]

    def _learn(self, key: Key) -> None:
        self._by_id[key.id] = key
        self._by_digest[key.digest] = key
