"""The few large commands that write states.

Measured with MongoDB 6.0 on two cores, updates of existing records of 200 bytes with a condition
each: 8,000/s as statements of their own, 20,000/s in commands that update 200 records or more with
one pipeline, 40,000/s with four of these at once, since each keeps one thread of the server busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
from pymongo.errors import BulkWriteError

from penstock.adapters.mongodb.connection import Collection, Document, duplicates
from penstock.adapters.mongodb.states import document_of
from penstock.records.record import State

_MOST_STATES: Final = 500
_MOST_BYTES: Final = 1024 * 1024
"""Of JSON in a command, but for a single larger record: as BSON it may be six times as long, and a
command of ours may have 16 MiB."""
_AT_ONCE: Final = 4
_KEPT: Final = {"data": "$data", "tombstone": "$tombstone"}

_Write = Callable[[Collection, Sequence[State]], Awaitable[list[str]]]
"""Writes states, and returns the ids of those not written."""


async def insert(collection: Collection, states: Sequence[State]) -> list[str]:
    """Insert what is not there; returns the ids that were."""
    return await _in_parts(_insert, collection, _parts(states))


async def replace(collection: Collection, states: Sequence[State]) -> list[str]:
    """Write where the stored fence is lower and nothing is parked; returns the ids not written.

    One that stands with the very fence given is not among them: it was our own retry.
    """
    whole = [one for one in states if one.data is not msgspec.UNSET]
    moved = [one for one in states if one.data is msgspec.UNSET]
    return [
        *await _in_parts(_replace, collection, _parts(whole)),
        *await _in_parts(_move, collection, _parts(moved)),
    ]


async def swap(collection: Collection, before: State, after: State) -> bool:
    """Write where fence and parking are as they were; returns whether it was."""
    there = {
        "_id": before.record_id,
        "fence": before.fence,
        # None is what has none.
        "parked": before.parked,
        "parked_to": before.parked_to,
    }
    document: Any = {"$literal": document_of(after)}
    new = {"$mergeObjects": [document, _KEPT]} if after.data is msgspec.UNSET else document
    result = await collection.update_one(there, [{"$replaceWith": new}])
    return result.matched_count == 1


def _parts(states: Sequence[State]) -> Iterator[Sequence[State]]:
    """The states in runs that fit a command."""
    start = size = 0
    for place, state in enumerate(states):
        length = len(state.data) if isinstance(state.data, bytes) else 0
        if place - start == _MOST_STATES or (size and size + length > _MOST_BYTES):
            yield states[start:place]
            start, size = place, 0
        size += length
    if start < len(states):
        yield states[start:]


async def _in_parts(
    write: _Write, collection: Collection, parts: Iterator[Sequence[State]]
) -> list[str]:
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(part: Sequence[State]) -> list[str]:
        async with free:
            return await write(collection, part)

    # All are waited for, also where one fails: nothing is written once the batch has ended.
    results = await asyncio.gather(*map(one, parts), return_exceptions=True)
    refused: list[str] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        refused += result
    return refused


async def _insert(collection: Collection, states: Sequence[State]) -> list[str]:
    try:
        await collection.insert_many([document_of(one) for one in states], ordered=False)
    except BulkWriteError as error:
        return [states[place].record_id for place in duplicates(error)]
    return []


async def _replace(collection: Collection, states: Sequence[State]) -> list[str]:
    if await _update(collection, states, "$$new") == len(states):
        return []
    stored = await _fences(collection, states)
    missing = [one for one in states if one.record_id not in stored]
    refused = [one.record_id for one in states if stored.get(one.record_id, one.fence) != one.fence]
    return refused + (await _insert(collection, missing) if missing else [])


async def _move(collection: Collection, states: Sequence[State]) -> list[str]:
    """Write all but the data: it stays."""
    if await _update(collection, states, {"$mergeObjects": ["$$new", _KEPT]}) == len(states):
        return []
    stored = await _fences(collection, states)
    return [one.record_id for one in states if stored.get(one.record_id) != one.fence]


async def _update(collection: Collection, states: Sequence[State], new: Any) -> int:
    """Put `new`, where `$$new` is what is given, in the place of each that may be written.

    Returns how many there were.
    """
    ids = [one.record_id for one in states]
    documents = [document_of(one) for one in states]
    place = {"$indexOfArray": [{"$literal": ids}, "$_id"]}
    lower = {"$lt": ["$fence", "$$new.fence"]}
    replacement = {
        "$let": {
            "vars": {"new": {"$arrayElemAt": [{"$literal": documents}, place]}},
            "in": {"$cond": [{"$and": [lower, {"$not": ["$parked"]}]}, new, "$$ROOT"]},
        }
    }
    result = await collection.update_many({"_id": {"$in": ids}}, [{"$replaceWith": replacement}])
    return result.modified_count


async def _fences(collection: Collection, states: Sequence[State]) -> dict[str, str]:
    ids = [one.record_id for one in states]
    found: list[Document] = await collection.find({"_id": {"$in": ids}}, {"fence": 1}).to_list()
    return {one["_id"]: one["fence"] for one in found}
