"""What the store does with MongoDB, done in a collection of its own, which goes again."""

from __future__ import annotations

from typing import Final

from pymongo.read_concern import ReadConcern

from penstock.adapters.mongodb.connection import Collection, Document, settled
from penstock.adapters.mongodb.layout import Layout
from penstock.adapters.mongodb.states import state_of
from penstock.adapters.mongodb.writes import insert, replace
from penstock.ports.check import Finding, failure, ok
from penstock.records.position import Position, position
from penstock.records.record import State

_RECORD_ID: Final = "trial"
_FIRST: Final = position(1, 0, 1)
_SECOND: Final = position(1, 0, 2)
_AWKWARD: Final = b'{"$ref":{"$id":1},"a.b":{".":2},"":{"":3},"$set":[{"$":4}]}'
"""Names that MongoDB, or its driver, could take for something else."""
_PLAIN: Final = b'{"flow":12.5}'


class Trial:
    """A scratch collection, as the store makes one for a collection of ours.

    Its methods are steps, to be taken in their order. They raise the driver's errors.

    Args:
        layout: of the database.
        collection_id: no one else's.
        now: ms since 1970, for the record in it.
    """

    def __init__(self, layout: Layout, collection_id: str, now: int) -> None:
        self._layout = layout
        self._id = collection_id
        self._now = now

    async def make(self) -> Finding:
        """Make the collection, with its time-to-live index."""
        await self._layout.written(self._id)
        return ok("making a collection", "with a time-to-live index")

    async def names(self) -> Finding:
        """Write a record with awkward names, and read it back."""
        subject = "names with $ or a dot, and empty ones"
        state = self._state(_FIRST, _AWKWARD)
        known = await insert(await self._layout.written(self._id), [state])
        found = await self._read(settled(self._records))
        if known or found is None or state_of(found) != state:
            return failure(subject, f"came back as {found}", "Records would come back changed.")
        return ok(subject, "come back as they were written")

    async def conditional_write(self) -> Finding:
        """Write over it, and then something older over that, which is to be refused."""
        newer, stale = self._state(_SECOND, _PLAIN), self._state(_FIRST, _AWKWARD)
        records = await self._layout.written(self._id)
        if await replace(records, [newer]):
            return failure("conditional write", "a newer one was refused", "Nothing could change.")
        if not await replace(records, [stale]):
            problem = "A worker that lost its partition could overwrite what is newer."
            return failure("conditional write", "a stale one was taken", problem)
        return ok("conditional write", "a newer one is taken, a stale one refused")

    async def majority_read(self) -> Finding:
        """Read, of what a majority has, what was just written to a majority."""
        return self._seen("majority read", await self._read(settled(self._records)))

    async def linearizable_read(self) -> Finding:
        """Read as the catalog does before it says that there is no such collection."""
        linearizable = self._records.with_options(read_concern=ReadConcern("linearizable"))
        return self._seen("linearizable read", await self._read(linearizable))

    async def remove(self) -> Finding:
        """Drop the collection."""
        await self._layout.remove(self._id)
        return ok("dropping a collection", "done")

    @property
    def _records(self) -> Collection:
        return self._layout.records(self._id)

    async def _read(self, collection: Collection) -> Document | None:
        return await collection.find_one({"_id": _RECORD_ID})

    def _state(self, fence: Position, data: bytes) -> State:
        return State(_RECORD_ID, fence, fence, self._now, self._now, data)

    def _seen(self, subject: str, found: Document | None) -> Finding:
        if found is None or found["fence"] != _SECOND:
            problem = "Reads with a receipt could show less than was acknowledged."
            return failure(subject, "did not see the last majority write", problem)
        return ok(subject, "sees the last majority write")
