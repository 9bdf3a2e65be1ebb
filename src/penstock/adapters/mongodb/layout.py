"""The physical collections, and the indexes by which the server removes what is due."""

from __future__ import annotations

import re
from typing import Final

from penstock.adapters.mongodb.connection import Client, Collection, database_of, settled
from penstock.records.operation import CLIENT_RETENTION_MS

_ID: Final = re.compile(r"[0-9a-z]{1,64}")
_MOST_KNOWN: Final = 1_000


class Layout:
    """The collections of a database: one with the records of each collection of ours, and five.

    Attributes:
        applied: the applied positions, by partition.
        outcomes: by position.
        spilled: marks that found no room in their records, by `side_id`.
        letters: dead letters, by position.
        indexes: how far those of the records are, by collection and name.
    """

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = database_of(client, database)
        self.applied: Collection = self._database["applied"]
        self.outcomes: Collection = self._database["outcomes"]
        self.spilled: Collection = self._database["spilled"]
        self.letters: Collection = self._database["letters"]
        self.indexes: Collection = self._database["indexes"]
        self._prepared = False
        self._records: dict[str, Collection] = {}
        self._settled: dict[str, Collection] = {}
        self._written: set[str] = set()

    def records(self, collection_id: str) -> Collection:
        """Of a collection. Ids are ours, so a foreign character is a defect."""
        found = self._records.get(collection_id)
        if found is None:
            assert _ID.fullmatch(collection_id), collection_id
            found = self._database[f"records_{collection_id}"]
            _keep(self._records, collection_id, found)
        return found

    def settled(self, collection: Collection) -> Collection:
        """One of these for reading, as `connection.settled` has it."""
        found = self._settled.get(collection.name)
        if found is None:
            found = settled(collection)
            _keep(self._settled, collection.name, found)
        return found

    async def written(self, collection_id: str) -> Collection:
        """For writing: there, with its index, and sharded where the server can do that."""
        records = self.records(collection_id)
        if collection_id not in self._written:
            await records.create_index("gc_at", expireAfterSeconds=0, sparse=True)
            if await self._client.is_mongos:
                await self._client.admin.command(
                    "shardCollection", records.full_name, key={"_id": "hashed"}
                )
            self._written.add(collection_id)
        return records

    async def prepare(self) -> None:
        """Make the indexes of what every collection shares, once."""
        if self._prepared:
            return
        kept_s = CLIENT_RETENTION_MS // 1000
        await self.outcomes.create_index("time", expireAfterSeconds=kept_s)
        await self.spilled.create_index("until", expireAfterSeconds=0)
        await self.letters.create_index(["collection_id", "record_id", "_id"])
        self._prepared = True

    async def remove(self, collection_id: str) -> None:
        self._written.discard(collection_id)
        await self.records(collection_id).drop()
        await self.letters.delete_many({"collection_id": collection_id})
        await self.indexes.delete_many({"_id": beginning(f"{collection_id}/")})
        await self.spilled.delete_many({"_id": beginning(f"{collection_id}/")})


def _keep(known: dict[str, Collection], name: str, collection: Collection) -> None:
    """Making one anew takes 4 microseconds, twice for each read otherwise."""
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[name] = collection


def side_id(collection_id: str, record_id: str, operation_id: str) -> str:
    """Of a spilled mark: the collection first; neither it nor a record's id can have a NUL."""
    return f"{collection_id}/{record_id}\x00{operation_id}"


def beginning(text: str) -> dict[str, str]:
    """The condition that an id begins with this."""
    return {"$gte": text, "$lt": text[:-1] + chr(ord(text[-1]) + 1)}
