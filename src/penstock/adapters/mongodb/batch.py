"""One slice's writes to MongoDB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from bson.datetime_ms import DatetimeMS

from penstock.adapters.mongodb import writes
from penstock.adapters.mongodb.connection import Document, insert_or_replace, store_errors
from penstock.adapters.mongodb.layout import Layout, side_id
from penstock.adapters.mongodb.progress import letter_document, move, outcome_document
from penstock.adapters.mongodb.states import mark_of, state_of, stored_mark
from penstock.ports.store import Applied
from penstock.records.letter import Letter
from penstock.records.outcome import Outcome
from penstock.records.position import Partition, Position
from penstock.records.record import Mark, State

_WITHOUT_DATA: Final = {"data": False}


class MongoBatch:
    """`ports.store.StoreBatch` in order: no transaction, and each step may be repeated.

    It reads what the primary has, though a majority may not have it yet: what is written after it
    is durable only together with it.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def load(
        self, collection_id: str, record_ids: Collection[str], with_data: Collection[str]
    ) -> dict[str, State]:
        whole = frozenset(with_data)
        bare = [one for one in record_ids if one not in whole]
        return {
            **await self._found(collection_id, bare, _WITHOUT_DATA),
            **await self._found(collection_id, list(whole), None),
        }

    async def spilled(
        self, collection_id: str, operations: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Mark]:
        by_id = {side_id(collection_id, *one): one for one in operations}
        with store_errors():
            found = await self._layout.spilled.find({"_id": {"$in": list(by_id)}}).to_list()
        return {by_id[one["_id"]]: mark_of(one["op"]) for one in found}

    async def spill(self, collection_id: str, marks: Sequence[tuple[str, Mark, int]]) -> None:
        documents: list[Document] = [
            {
                "_id": side_id(collection_id, record_id, mark.operation_id),
                "op": stored_mark(mark),
                "until": DatetimeMS(until),
            }
            for record_id, mark, until in marks
        ]
        with store_errors():
            await insert_or_replace(self._layout.spilled, documents)

    async def insert(self, collection_id: str, states: Sequence[State]) -> list[str]:
        with store_errors():
            return await writes.insert(await self._layout.written(collection_id), states)

    async def replace(self, collection_id: str, states: Sequence[State]) -> list[str]:
        with store_errors():
            return await writes.replace(await self._layout.written(collection_id), states)

    async def swap(self, collection_id: str, before: State | None, after: State) -> bool:
        with store_errors():
            records = await self._layout.written(collection_id)
            if before is None:
                return not await writes.insert(records, [after])
            return await writes.swap(records, before, after)

    async def put_aside(self, letters: Sequence[Letter]) -> None:
        with store_errors():
            documents = [letter_document(one) for one in letters]
            await insert_or_replace(self._layout.letters, documents)

    async def remove_letters(self, positions: Sequence[Position]) -> None:
        with store_errors():
            await self._layout.letters.delete_many({"_id": {"$in": list(positions)}})

    async def conclude(
        self, outcomes: Sequence[Outcome], applied: Mapping[Partition, Applied]
    ) -> None:
        with store_errors():
            documents = [outcome_document(one) for one in outcomes]
            await insert_or_replace(self._layout.outcomes, documents)
            for one in applied.values():
                await move(self._layout.applied, one)

    async def _found(
        self, collection_id: str, record_ids: list[str], projection: Mapping[str, bool] | None
    ) -> dict[str, State]:
        if not record_ids:
            return {}
        # One more than there are: all come in the first answer.
        size = len(record_ids) + 1
        with store_errors():
            found = self._layout.records(collection_id).find(
                {"_id": {"$in": record_ids}}, projection, batch_size=size
            )
            documents = await found.to_list()
        return {one["_id"]: state_of(one) for one in documents}
