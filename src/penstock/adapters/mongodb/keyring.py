"""The keyring on MongoDB, changed by any process at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from bson.datetime_ms import DatetimeMS
from pymongo import ReturnDocument, UpdateOne

from penstock.adapters.mongodb.connection import (
    TIMEOUT_S,
    Document,
    apart,
    connect,
    database_of,
    settled,
    store_errors,
)
from penstock.records.key import EXPIRED_KEPT_MS, Key

_TIMES: Final = ("created_at", "expires_at", "last_used_at")


class MongoKeyring:
    """`ports.keyring.Keyring` on one database. It belongs to the event loop that first uses it.

    Args:
        url: of MongoDB, with whatever else it says of TLS and credentials.
        database: its name; that of the store will do.
        timeout_s: of each operation, with the search for a primary and all retries.
    """

    def __init__(self, url: str, database: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._client = connect(url, timeout_s)
        self._keys = database_of(self._client, database)["keys"]
        self._prepared = False

    @apart
    async def put(self, key: Key) -> None:
        with store_errors():
            await self._prepare()
            await self._keys.insert_one(_document(key))

    @apart
    async def find(self, digests: Sequence[bytes]) -> Mapping[bytes, Key]:
        with store_errors():
            found = await settled(self._keys).find({"digest": {"$in": list(digests)}}).to_list()
        return {one.digest: one for one in map(_key, found)}

    @apart
    async def get(self, tenant: str, key_id: str) -> Key | None:
        with store_errors():
            found = await settled(self._keys).find_one({"_id": key_id, "tenant": tenant})
        return None if found is None else _key(found)

    @apart
    async def list(self, tenant: str, after: str, limit: int) -> Sequence[Key]:
        wanted = {"tenant": tenant, "_id": {"$gt": after}}
        with store_errors():
            found = await settled(self._keys).find(wanted).sort("_id").limit(limit).to_list()
        return [_key(one) for one in found]

    @apart
    async def revoke(self, tenant: str, key_id: str) -> Key | None:
        with store_errors():
            found = await self._keys.find_one_and_delete({"_id": key_id, "tenant": tenant})
        return None if found is None else _key(found)

    @apart
    async def rotate(self, key_id: str, key: Key, until: int) -> Key | None:
        """The new one first: a crash between the two leaves a key that nobody was told."""
        await self.put(key)
        with store_errors():
            found = await self._keys.find_one_and_update(
                {"_id": key_id, "tenant": key.tenant},
                {"$set": {"replaced_by": key.id}, "$min": {"expires_at": DatetimeMS(until)}},
                return_document=ReturnDocument.AFTER,
            )
            if found is None:
                await self._keys.delete_one({"_id": key.id})
                return None
        return _key(found)

    @apart
    async def touch(self, used: Mapping[str, int]) -> None:
        changes = [
            UpdateOne({"_id": key_id}, {"$max": {"last_used_at": DatetimeMS(time)}})
            for key_id, time in used.items()
        ]
        if changes:
            with store_errors():
                await self._keys.bulk_write(changes, ordered=False)

    async def close(self) -> None:
        await self._client.close()

    async def _prepare(self) -> None:
        if not self._prepared:
            await self._keys.create_index("digest", unique=True)
            await self._keys.create_index(["tenant", "_id"])
            await self._keys.create_index(
                "expires_at", expireAfterSeconds=EXPIRED_KEPT_MS // 1000, sparse=True
            )
            self._prepared = True


def _document(key: Key) -> Document:
    document: Document = msgspec.to_builtins(key, builtin_types=(bytes,))
    document["_id"] = document.pop("id")
    for name in _TIMES:
        if name in document:
            document[name] = DatetimeMS(document[name])
    return document


def _key(document: Document) -> Key:
    document["id"] = document.pop("_id")
    for name in _TIMES:
        if name in document:
            document[name] = int(document[name])
    return msgspec.convert(document, Key, builtin_types=(bytes,))
