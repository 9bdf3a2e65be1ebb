"""What the laws of the store have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from penstock.ports.store import Applied, Store
from penstock.records.index import End, Range
from penstock.records.outcome import Outcome
from penstock.records.position import Position, partition_of, position
from penstock.records.record import Mark, State
from penstock.records.scan import Scan


class Stores(Protocol):
    """Opens stores of the adapter that is held to the laws, and closes them after the test."""

    async def fresh(self) -> Store:
        """A store that never held anything."""
        ...

    async def reopened(self, store: Store) -> Store:
        """The same store as another process finds it, after the one that had it open has ended."""
        ...

    async def beside(self, store: Store) -> Store:
        """The same store as another process has it open at the same time."""
        ...

    async def swept(self, store: Store, now: int, outcomes_before: int) -> None:
        """Sweep, and wait until what may go is gone, whoever removes it."""
        ...


def at(offset: int, partition: int = 0) -> Position:
    return position(1, partition, offset)


def new_collection() -> str:
    return uuid4().hex[:16]


def state(record_id: str, offset: int, data: Any = b"{}", **more: Any) -> State:
    """A state whose last entry, the one at `offset`, changed it."""
    fields: dict[str, Any] = {
        "fence": at(offset),
        "version": at(offset),
        "created_at": 1_000,
        "updated_at": 1_000 + offset,
    }
    return State(record_id, data=data, **(fields | more))


def mark(operation_id: str, offset: int) -> Mark:
    return Mark(operation_id, at(offset), 1_000 + offset, "c")


def reached(offset: int, partition: int = 0) -> Applied:
    return Applied(at(offset, partition), "a-log", f"p{offset}", 1_000 + offset)


def as_read(one: State) -> State:
    """As `get` and `page` give it."""
    return msgspec.structs.replace(one, marks=())


async def insert(store: Store, collection: str, states: Sequence[State]) -> list[str]:
    """Insert in a batch of its own; returns the ids that existed."""
    async with store.batch() as batch:
        return await batch.insert(collection, states)


async def replace(store: Store, collection: str, states: Sequence[State]) -> list[str]:
    """Replace in a batch of its own; returns the ids not written."""
    async with store.batch() as batch:
        return await batch.replace(collection, states)


async def conclude(store: Store, outcomes: Sequence[Outcome], *reach: Applied) -> None:
    async with store.batch() as batch:
        await batch.conclude(outcomes, {partition_of(one.position): one for one in reach})


async def load(
    store: Store, collection: str, record_ids: Sequence[str], with_data: Sequence[str] = ()
) -> dict[str, State]:
    async with store.batch() as batch:
        return await batch.load(collection, record_ids, with_data)


async def listed(
    store: Store, collection: str, after: str | None, limit: int, now: int
) -> list[State]:
    """Records by id, after one."""
    low = End() if after is None else End((after,), is_open=True)
    return await store.scan(collection, Scan(ranges=(Range(low),)), limit, now, 10)


READS: dict[str, Callable[[Store, str, float], Awaitable[Any]]] = {
    "applied": lambda store, _, time_s: store.applied(time_s),
    "get": lambda store, collection, time_s: store.get(collection, ["r"], time_s),
    "outcome": lambda store, _, time_s: store.outcome(at(1), time_s),
    "mark": lambda store, collection, time_s: store.mark(collection, "r", "p1", time_s),
    "letters": lambda store, collection, time_s: store.letters(collection, None, None, 1, time_s),
    "estimate": lambda store, collection, time_s: store.estimate(collection, time_s),
    "indexes": lambda store, collection, time_s: store.indexes(collection, time_s),
    "scan": lambda store, collection, time_s: store.scan(collection, Scan(), 1, 0, time_s),
}
"""Every read that takes a time."""


async def read(store: Store, collection: str, record_id: str) -> State | None:
    return (await store.get(collection, [record_id])).get(record_id)
