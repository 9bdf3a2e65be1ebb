"""Finding records by a plan, from a mark on, a part at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec

from penstock.ports.clock import Clock
from penstock.ports.store import Store
from penstock.query.bounds import Stream
from penstock.query.plan import Plan, Sort
from penstock.records.collection import Target
from penstock.records.index import Key, Ordered, Range, Rank, cut, is_empty, ranks
from penstock.records.record import State
from penstock.records.scan import Scan

_FIRST_PART: Final = 16
_FIRST_OF_SMALL: Final = 64
_SMALL: Final = 64 * 1024
"""Bytes of a record, below which more of them are read at first."""
_GROWTH: Final = 4
_MOST_MERGED: Final = 2_000
"""Records in hand where streams are merged; a page of many streams is the shorter for it."""
_SORTED_PART: Final = 1_000

_decode: Final = msgspec.json.Decoder().decode


class Mark(msgspec.Struct, array_like=True, frozen=True):
    """Where a record stands in what a plan finds: its stream, and its key there."""

    stream: int
    key: Key


class Found(NamedTuple):
    """A record, and where it stands.

    Attributes:
        stream: in the plan.
        key_of: how to have its key, which only a few are asked for.
    """

    state: State
    stream: int
    key_of: Callable[[State], Key]

    @property
    def mark(self) -> Mark:
        return Mark(self.stream, self.key_of(self.state))


class _Search(NamedTuple):
    """What all parts of one search share."""

    collection_id: str
    plan: Plan
    mark: Mark | None
    backward: bool
    now: int
    deadline: float

    @property
    def reverse(self) -> bool:
        """Whether indexes are read backwards."""
        return self.plan.reverse is not self.backward


class Finder:
    """Reads what a plan says from the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._of_small: set[str] = set()

    async def find(
        self,
        target: Target,
        plan: Plan,
        mark: Mark | None,
        size: int,
        most_bytes: int,
        *,
        backward: bool,
        deadline: float,
    ) -> tuple[list[Found], bool]:
        """Up to `size` records after a mark, or before it, in the plan's order; and are there more?

        Fewer than `size` may come though there are more: where they are large, or many streams are
        merged. Raises `Unavailable` (`deadline_exceeded`, `store_unavailable`).
        """
        now = self._clock.now()
        search = _Search(target.collection.id, plan, mark, backward, now, deadline)
        if plan.sorted_here:
            found = await self._sorted(search, size + 1)
        elif plan.merged:
            size = min(size, max(_MOST_MERGED // len(plan.streams), _FIRST_PART))
            found = await self._merged(search, size + 1)
        else:
            found, size = await self._one_by_one(search, size, most_bytes)
        has_more, found = len(found) > size, found[:size]
        return found[::-1] if backward else found, has_more

    async def _one_by_one(
        self, search: _Search, size: int, most_bytes: int
    ) -> tuple[list[Found], int]:
        """One more than fit, if there are so many; and how many fit."""
        found: list[Found] = []
        is_small = search.collection_id in self._of_small
        part, total = _FIRST_OF_SMALL if is_small else _FIRST_PART, 0
        turned = -1 if search.backward else 1
        for place, stream in list(enumerate(search.plan.streams))[::turned]:
            ranges: Sequence[Range] = stream.ranges
            if search.mark is not None:
                if place * turned < search.mark.stream * turned:
                    continue
                if place == search.mark.stream:
                    ranges = _rest(stream, ranges, search.mark.key, reverse=search.reverse)
            while ranges:
                wanted = min(part, size + 1 - len(found))
                more = await self._scan(search, stream, ranges, place, wanted)
                found += more
                total += sum(_length(one.state) for one in more)
                self._note(search.collection_id, found, total)
                if len(found) > size:
                    return found, size
                if total >= most_bytes and len(found) > 1:
                    # The last one tells that there is more.
                    return found, len(found) - 1
                if len(more) < wanted:
                    break
                ranges = _rest(stream, ranges, more[-1].mark.key, reverse=search.reverse)
                part *= _GROWTH
                await asyncio.sleep(0)
        return found, size

    def _note(self, collection_id: str, found: Sequence[Found], total: int) -> None:
        """Remember whether a collection's records are small, by those seen last."""
        if total < _SMALL * len(found):
            self._of_small.add(collection_id)
        else:
            self._of_small.discard(collection_id)

    async def _merged(self, search: _Search, wanted: int) -> list[Found]:
        """The first of all streams together; a record that several have comes once."""
        reads = []
        for place, stream in enumerate(search.plan.streams):
            ranges: Sequence[Range] = stream.ranges
            if search.mark is not None:
                behind = search.mark.key[len(stream.prefix) :]
                own = (*stream.prefix, *behind)
                ranges = _rest(stream, ranges, own, reverse=search.reverse)
            if ranges:
                reads.append(self._scan(search, stream, ranges, place, wanted))
        by_id = {one.state.record_id: one for part in await asyncio.gather(*reads) for one in part}
        first = search.plan.streams[0]
        shared = len(first.prefix)
        order = first.index.order[shared:]
        return sorted(
            by_id.values(),
            key=lambda one: ranks(order, one.mark.key[shared:]),
            reverse=search.reverse,
        )[:wanted]

    async def _sorted(self, search: _Search, wanted: int) -> list[Found]:
        """Everything is read, and the first are kept: for small collections."""
        (stream,) = search.plan.streams
        order = [
            Ordered(one.field, one.descending is not search.backward)
            for one in search.plan.sorted_here
        ]
        key_of = partial(_sort_key, search.plan.sorted_here)
        start = None if search.mark is None else ranks(order, search.mark.key)
        kept: list[tuple[tuple[Rank, ...], Found]] = []
        ranges: Sequence[Range] = stream.ranges
        while ranges:
            part = await self._scan(search, stream, ranges, 0, _SORTED_PART)
            for one in part:
                rank = ranks(order, key_of(one.state))
                if start is None or rank > start:
                    kept.append((rank, Found(one.state, 0, key_of)))
            kept = sorted(kept, key=lambda one: one[0])[:wanted]
            if len(part) < _SORTED_PART:
                break
            ranges = _rest(stream, ranges, part[-1].mark.key, reverse=search.reverse)
            await asyncio.sleep(0)
        return [found for _, found in kept]

    async def _scan(
        self, search: _Search, stream: Stream, ranges: Sequence[Range], place: int, limit: int
    ) -> list[Found]:
        scan = Scan(stream.index, tuple(ranges), search.reverse, stream.rest)
        time_s = search.deadline - self._clock.monotonic()
        states = await self._store.scan(search.collection_id, scan, limit, search.now, time_s)
        key_of = partial(_key, stream)
        return [Found(state, place, key_of) for state in states]


def _rest(stream: Stream, ranges: Sequence[Range], key: Key, *, reverse: bool) -> Sequence[Range]:
    """What of the ranges comes after a key."""
    order = stream.index.order
    left: list[Range] = []
    for one in ranges:
        rest = cut(one, order, key, reverse=reverse)
        if rest is not None and not is_empty(rest, order):
            left.append(rest)
    return left


def _key(stream: Stream, state: State) -> Key:
    index = stream.index
    if index.is_array:
        return (stream.prefix[0], state.record_id)
    if not index.fields:
        return (state.record_id,)
    return index.key(state.record_id, state.created_at, state.updated_at, _data(state))


def _sort_key(sort: Sort, state: State) -> Key:
    own = {
        "id": state.record_id,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
    }
    data = _data(state)
    values = (one.field.of(data) if one.field.path else own[one.field.text] for one in sort)
    # What has no order of its own is all the same: the id decides.
    return tuple(
        value if value is None or isinstance(value, bool | int | float | str) else _LAST
        for value in values
    )


_LAST: Final = True
"""Objects and arrays sort with `true`, the last of what has an order."""


def _data(state: State) -> object:
    assert isinstance(state.data, bytes)
    decoded: object = _decode(state.data)
    return decoded


def _length(state: State) -> int:
    return len(state.data) if isinstance(state.data, bytes) else 0
