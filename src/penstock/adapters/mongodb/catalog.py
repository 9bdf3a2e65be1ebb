"""The catalog on MongoDB, changed by any process at any time.

A collection is one document with its newest settings, so that each change is one atomic step from
the revision that it was based on. Before a revision gives way, its settings are put into a
collection of their own: they never change again, so repeating that, or two doing it, is harmless.
Settings are kept as JSON text: a schema has names that begin with `$`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from bson.datetime_ms import DatetimeMS
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from penstock.adapters.mongodb.connection import (
    TIMEOUT_S,
    Document,
    apart,
    connect,
    database_of,
    limited,
    settled,
    store_errors,
)
from penstock.adapters.mongodb.layout import beginning
from penstock.ports.entropy import Entropy
from penstock.records.collection import Collection, Settings

_ID_BITS: Final = 64
_LIVE: Final = {"live": True}
_LINEARIZABLE: Final = ReadConcern("linearizable")

_encode: Final = msgspec.json.Encoder().encode
_compared: Final = msgspec.json.Encoder(order="deterministic").encode
"""As JSON, since to Python 1 is True, and a schema that asks for one is not one for the other."""
_decode: Final = msgspec.json.Decoder(Settings).decode


class MongoCatalog:
    """`ports.catalog.Catalog` on one database. It belongs to the event loop that first uses it.

    Args:
        url: of MongoDB, with whatever else it says of TLS and credentials.
        database: its name; that of the store will do.
        entropy: where the collections' ids come from.
        timeout_s: of each operation, with the search for a primary and all retries.
    """

    def __init__(
        self,
        url: str,
        database: str,
        entropy: Entropy,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._client = connect(url, timeout_s)
        self._timeout_s = timeout_s
        documents = database_of(self._client, database)
        self._collections = documents["collections"]
        self._revisions = documents["revisions"]
        self._entropy = entropy
        self._prepared = False

    @apart
    async def put(self, tenant: str, name: str, settings: Settings, now: int) -> Collection:
        with store_errors():
            await self._prepare()
            while True:
                known = await self._live(tenant, name)
                if known is not None and _compared(known.settings) == _compared(settings):
                    return known
                # Where another process was faster, see what it has made of it.
                changed = (
                    await self._create(tenant, name, settings, now)
                    if known is None
                    else await self._change(known, settings, now)
                )
                if changed is not None:
                    return changed

    @apart
    async def get(self, tenant: str, name: str, time_s: float | None = None) -> Collection | None:
        with limited(time_s, self._timeout_s):
            return await self._live(tenant, name)

    @apart
    async def list(self, tenant: str) -> Sequence[Collection]:
        return await self._found({"tenant": tenant, **_LIVE}, "name")

    @apart
    async def drop(self, tenant: str, name: str, now: int) -> Collection | None:
        with store_errors():
            found = await self._collections.find_one_and_update(
                {"tenant": tenant, "name": name, **_LIVE},
                {"$set": {"dropped_at": DatetimeMS(now)}, "$unset": {"live": ""}},
                return_document=ReturnDocument.AFTER,
            )
        return None if found is None else _collection(found)

    @apart
    async def by_id(self, collection_id: str) -> Collection | None:
        """A miss is asked again of a primary that first makes sure that it is one.

        One that has been replaced and does not know it may not know the collection either, and
        the worker would reject what was accepted.
        """
        wanted = {"_id": collection_id}
        with store_errors():
            found = await settled(self._collections).find_one(wanted)
            if found is None:
                found = await self._collections.with_options(read_concern=_LINEARIZABLE).find_one(
                    wanted
                )
        return None if found is None else _collection(found)

    @apart
    async def settings(self, collection_id: str, revision: int) -> Settings | None:
        """The newest first: a revision that is not that one any more was kept before."""
        newest = await self.by_id(collection_id)
        if newest is None:
            return None
        if newest.revision == revision:
            return newest.settings
        with store_errors():
            kept = await settled(self._revisions).find_one({"_id": _key(collection_id, revision)})
        return None if kept is None else _decode(kept["settings"])

    @apart
    async def changed(self, since: int) -> Sequence[Collection]:
        return await self._found({"updated_at": {"$gte": DatetimeMS(since)}, **_LIVE}, "updated_at")

    @apart
    async def dropped(self) -> Sequence[Collection]:
        return await self._found({"dropped_at": {"$exists": True}}, "dropped_at")

    async def forget(self, collection_id: str) -> None:
        """The ids are random and 64 bits long: what is forgotten does not come again."""
        with store_errors():
            # In this order: as long as it is among the dropped, this will be repeated.
            await self._revisions.delete_many({"_id": beginning(f"{collection_id}/")})
            await self._collections.delete_one({"_id": collection_id})

    async def close(self) -> None:
        await self._client.close()

    async def _prepare(self) -> None:
        if not self._prepared:
            await self._collections.create_index(
                ["tenant", "name"], unique=True, partialFilterExpression=_LIVE
            )
            await self._collections.create_index("dropped_at", sparse=True)
            await self._collections.create_index("updated_at", partialFilterExpression=_LIVE)
            self._prepared = True

    async def _live(self, tenant: str, name: str) -> Collection | None:
        found = await settled(self._collections).find_one({"tenant": tenant, "name": name, **_LIVE})
        return None if found is None else _collection(found)

    async def _found(self, wanted: Mapping[str, Any], order: str) -> Sequence[Collection]:
        with store_errors():
            found = await settled(self._collections).find(wanted).sort(order).to_list()
        return [_collection(one) for one in found]

    async def _create(
        self, tenant: str, name: str, settings: Settings, now: int
    ) -> Collection | None:
        """None where the name, or by a rare chance the id, was taken at the same moment."""
        fresh = f"{self._entropy.bits(_ID_BITS):016x}"
        made = Collection(fresh, tenant, name, 1, settings, now, now)
        try:
            await self._collections.insert_one(
                {
                    "_id": fresh,
                    "tenant": tenant,
                    "name": name,
                    "revision": 1,
                    "settings": _encode(settings).decode(),
                    "created_at": DatetimeMS(now),
                    "updated_at": DatetimeMS(now),
                    **_LIVE,
                }
            )
        except DuplicateKeyError:
            return None
        return made

    async def _change(self, known: Collection, settings: Settings, now: int) -> Collection | None:
        """None where it was changed or dropped at the same moment."""
        await self._revisions.replace_one(
            {"_id": _key(known.id, known.revision)},
            {"settings": _encode(known.settings).decode()},
            upsert=True,
        )
        found = await self._collections.find_one_and_update(
            {"_id": known.id, "revision": known.revision, **_LIVE},
            {
                "$set": {
                    "revision": known.revision + 1,
                    "settings": _encode(settings).decode(),
                    "updated_at": DatetimeMS(now),
                }
            },
            return_document=ReturnDocument.AFTER,
        )
        return None if found is None else _collection(found)


def _key(collection_id: str, revision: int) -> str:
    return f"{collection_id}/{revision}"


def _collection(document: Document) -> Collection:
    dropped_at = document.get("dropped_at")
    return Collection(
        document["_id"],
        document["tenant"],
        document["name"],
        document["revision"],
        _decode(document["settings"]),
        int(document["created_at"]),
        int(document["updated_at"]),
        None if dropped_at is None else int(dropped_at),
    )
