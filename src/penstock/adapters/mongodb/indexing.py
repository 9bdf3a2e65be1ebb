"""Making and removing indexes of records; how far they are is noted beside them.

The server makes an index while records are read and written; who asks for it waits. Where that ends
half-way, the note says that it is being made, and it is asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import pymongo
from pymongo.errors import OperationFailure

from penstock.adapters.mongodb.connection import (
    Client,
    Collection,
    Document,
    apart,
    limited,
    settled,
    store_errors,
)
from penstock.adapters.mongodb.filters import path, pattern
from penstock.adapters.mongodb.layout import Layout, beginning
from penstock.records.field import Field
from penstock.records.index import MOST_TEXT, Index, IndexState

_PARALLEL_ARRAYS: Final = 171
_NOT_FOUND: Final = frozenset((26, 27))
_WITH_DATA: Final = {"data": {"$exists": True}}


class Indexing:
    """The indexes of all collections of records."""

    def __init__(self, client: Client, layout: Layout, timeout_s: float) -> None:
        self._client = client
        self._layout = layout
        self._timeout_s = timeout_s

    @apart
    async def indexes(
        self, collection_id: str, time_s: float | None = None
    ) -> Mapping[str, IndexState]:
        start = f"{collection_id}/"
        with limited(time_s, self._timeout_s):
            found = await settled(self._layout.indexes).find({"_id": beginning(start)}).to_list()
        states = {}
        for one in found:
            name = one["_id"].removeprefix(start)
            progress = None
            if not one["ready"] and one["unfit"] is None:
                progress = await self._progress(collection_id, name)
            states[name] = IndexState(one["ready"], progress, one["unfit"])
        return states

    async def build(self, collection_id: str, index: Index) -> None:
        with store_errors(), pymongo.timeout(None):
            records = await self._layout.written(collection_id)
            await self._note(collection_id, index.name, ready=False)
            unfit = await self._build(records, index)
            await self._note(collection_id, index.name, ready=unfit is None, unfit=unfit)

    async def unbuild(self, collection_id: str, name: str) -> None:
        with store_errors():
            await _drop(self._layout.records(collection_id), name)
            await self._layout.indexes.delete_one({"_id": f"{collection_id}/{name}"})

    async def _build(self, records: Collection, index: Index) -> str | None:
        """Make it; the id of a record that does not fit, where one keeps it from being made."""
        try:
            await records.create_index(
                pattern(index), name=index.name, partialFilterExpression=_WITH_DATA
            )
        except OperationFailure as error:
            if error.code != _PARALLEL_ARRAYS:
                raise
        misfits = [one for each in index.fields for one in _misfits(each.field, index)]
        found = await records.find_one({"$or": misfits}, {"_id": True}) if misfits else None
        if found is None:
            return None
        await _drop(records, index.name)
        unfit: str = found["_id"]
        return unfit

    async def _note(
        self, collection_id: str, name: str, *, ready: bool, unfit: str | None = None
    ) -> None:
        await self._layout.indexes.replace_one(
            {"_id": f"{collection_id}/{name}"}, {"ready": ready, "unfit": unfit}, upsert=True
        )

    async def _progress(self, collection_id: str, name: str) -> float | None:
        """How much is made, where we may ask the server for it."""
        records = self._layout.records(collection_id)
        asked: list[Document] = [
            {"$currentOp": {"idleConnections": False}},
            {"$match": {"command.createIndexes": records.name, "command.indexes.name": name}},
        ]
        with suppress(OperationFailure):
            async for one in await self._client.admin.aggregate(asked):
                done = one.get("progress", {})
                if done.get("total"):
                    return float(done["done"] / done["total"])
        return None


def _misfits(field: Field, index: Index) -> list[Document]:
    """What keeps a record out of an index: see `Rules.check`."""
    if not field.path:
        return []
    there = path(field)
    found: list[Document] = [
        {path(Field("", field.path[:length])): {"$type": "array"}}
        for length in range(1, len(field.path))
    ]
    found.append({there: {"$type": ["object"] if index.is_array else ["object", "array"]}})
    text: Any = {"$cond": [{"$eq": [{"$type": f"${there}"}, "string"]}, f"${there}", ""]}
    found.append({"$expr": {"$gt": [{"$strLenBytes": text}, MOST_TEXT]}})
    return found


async def _drop(records: Collection, name: str) -> None:
    try:
        await records.drop_index(name)
    except OperationFailure as error:
        if error.code not in _NOT_FOUND:
            raise
