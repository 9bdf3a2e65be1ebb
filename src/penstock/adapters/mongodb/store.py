"""The store on MongoDB: a physical collection for each collection, no transactions.

Writes are on a majority when they return, and conditional on the fence that stands there, so that
each may be repeated. Reads come from the primary and see only what a majority has; a read after
`applied` waits for the time at which that was read, so that also a primary that has been replaced
and does not know it cannot show less.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from bson.timestamp import Timestamp
from pymongo.asynchronous.client_session import AsyncClientSession

from penstock.adapters.mongodb.batch import MongoBatch
from penstock.adapters.mongodb.connection import (
    TIMEOUT_S,
    Collection,
    Document,
    apart,
    connect,
    limited,
    store_errors,
)
from penstock.adapters.mongodb.indexing import Indexing
from penstock.adapters.mongodb.layout import Layout, side_id
from penstock.adapters.mongodb.progress import applied_of, letter_of, outcome_of
from penstock.adapters.mongodb.search import Search
from penstock.adapters.mongodb.states import mark_of, state_of
from penstock.ports.store import Applied
from penstock.records.letter import Letter
from penstock.records.outcome import Outcome
from penstock.records.position import Partition, Position, partition_of
from penstock.records.record import Mark, State

_WITHOUT_MARKS: Final = {"ops": False}


class MongoStore:
    """`ports.store.Store` on one database. It belongs to the event loop that first uses it.

    Args:
        url: of MongoDB, with whatever else it says of TLS and credentials.
        database: its name.
        timeout_s: of each operation, with the search for a primary and all retries.
    """

    def __init__(self, url: str, database: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._client = connect(url, timeout_s)
        self._timeout_s = timeout_s
        self._layout = Layout(self._client, database)
        self._seen: Timestamp | None = None
        search = Search(self._layout, self._read, self._session, timeout_s)
        self.scan, self.count = search.scan, search.count
        self.estimate, self.aggregate = search.estimate, search.aggregate
        indexes = Indexing(self._client, self._layout, timeout_s)
        self.indexes, self.build, self.unbuild = indexes.indexes, indexes.build, indexes.unbuild

    async def applied(self, time_s: float | None = None) -> Mapping[Partition, Applied]:
        with limited(time_s, self._timeout_s):
            found = [applied_of(one) for one in await self._read(self._layout.applied, {})]
        return {partition_of(one.position): one for one in found}

    async def get(
        self, collection_id: str, record_ids: Sequence[str], time_s: float | None = None
    ) -> dict[str, State]:
        with limited(time_s, self._timeout_s):
            documents = await self._read(
                self._layout.records(collection_id),
                {"_id": {"$in": list(record_ids)}},
                projection=_WITHOUT_MARKS,
                # One more than there are: all come in the first answer.
                batch_size=len(record_ids) + 1,
            )
        return {one["_id"]: state_of(one) for one in documents}

    async def outcome(self, position: Position, time_s: float | None = None) -> Outcome | None:
        with limited(time_s, self._timeout_s):
            found = await self._read(self._layout.outcomes, {"_id": position})
        return outcome_of(found[0]) if found else None

    async def mark(
        self, collection_id: str, record_id: str, operation_id: str, time_s: float | None = None
    ) -> Mark | None:
        with limited(time_s, self._timeout_s):
            return await self._mark(collection_id, record_id, operation_id)

    async def _mark(self, collection_id: str, record_id: str, operation_id: str) -> Mark | None:
        found = await self._read(
            self._layout.records(collection_id), {"_id": record_id}, projection={"ops": True}
        )
        for document in found:
            for stored in document["ops"]:
                if stored[0] == operation_id:
                    return mark_of(stored)
        beside = side_id(collection_id, record_id, operation_id)
        found = await self._read(self._layout.spilled, {"_id": beside})
        return mark_of(found[0]["op"]) if found else None

    async def letters(
        self,
        collection_id: str | None,
        record_id: str | None,
        after: Position | None,
        limit: int,
        time_s: float | None = None,
    ) -> list[Letter]:
        wanted: Document = {"_id": {"$gt": after or ""}}
        if collection_id is not None:
            wanted["collection_id"] = collection_id
        if record_id is not None:
            wanted["record_id"] = record_id
        with limited(time_s, self._timeout_s):
            found = await self._read(self._layout.letters, wanted, sort=[("_id", 1)], limit=limit)
        return [letter_of(one) for one in found]

    async def letter(self, position: Position) -> Letter | None:
        found = await self._read(self._layout.letters, {"_id": position})
        return letter_of(found[0]) if found else None

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[MongoBatch]:
        with store_errors():
            await self._layout.prepare()
        yield MongoBatch(self._layout)

    async def remove(self, collection_id: str) -> None:
        with store_errors():
            await self._layout.remove(collection_id)

    async def sweep(self, now: int, outcomes_before: int) -> int:  # noqa: ARG002  # by the server
        """The server does it, within a minute or so."""
        return 0

    async def settle(self) -> None:
        """What is written is on a majority's disks."""

    async def close(self) -> None:
        await self._client.close()

    @apart
    async def _read(
        self, collection: Collection, wanted: Mapping[str, Any], **options: Any
    ) -> list[Document]:
        """What is found, no older than anything that was read here before."""
        async with self._session() as session:
            cursor = self._layout.settled(collection).find(wanted, session=session, **options)
            return await cursor.to_list()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[AsyncClientSession]:
        """What is read in it is no older than anything that was read here before."""
        with store_errors():
            async with self._client.start_session(causal_consistency=True) as session:
                if self._seen is not None:
                    session.advance_operation_time(self._seen)
                yield session
                self._see(session.operation_time)

    def _see(self, time: Timestamp | None) -> None:
        """What read at this time of the cluster saw, later reads see as well."""
        if time is not None and (self._seen is None or time > self._seen):
            self._seen = time
