"""Whatever is parked, replayed and dropped in between, a record is the fold of all not dropped."""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.defect import a_defect

from penstock.adapters.embedded.cache import MemoryCache
from penstock.adapters.embedded.catalog import EmbeddedCatalog
from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.embedded.store import EmbeddedStore
from penstock.apply.aside import Burst
from penstock.apply.fold import Limits, fold
from penstock.apply.persist import Persist
from penstock.apply.quarantine import Quarantine
from penstock.apply.refresh import Refresh
from penstock.apply.rulebook import Rulebook
from penstock.ports.log import Slice
from penstock.records.collection import Rules, Settings
from penstock.records.operation import Entry, Kind, Operation
from penstock.records.position import Partition, Position, position
from penstock.records.record import State

LIMITS = Limits(record_bytes=10_000, keep_ms=10**12)
TIME = 2**42
RECORDS = ("a", "b")
RULES = Rules(Settings())


class Write(NamedTuple):
    record_id: str
    kind: Kind
    poisoned: bool
    repeats: bool


class Batch(NamedTuple):
    """Writes that are applied together, and whether that is done twice, as after a crash."""

    writes: list[Write]
    twice: bool


class Replay(NamedTuple):
    record_id: str


class Drop(NamedTuple):
    record_id: str
    place: int


class Break(NamedTuple):
    """The defect comes, or goes."""


write = st.builds(
    Write,
    st.sampled_from(RECORDS),
    st.sampled_from([Kind.PUT, Kind.PATCH, Kind.PATCH, Kind.DELETE, Kind.CREATE]),
    st.booleans(),
    st.integers(0, 4).map(lambda number: number == 0),
)
batch = st.builds(Batch, st.lists(write, min_size=1, max_size=6), st.booleans())
step = st.one_of(
    batch,
    batch,
    st.builds(Replay, st.sampled_from(RECORDS)),
    st.builds(Drop, st.sampled_from(RECORDS), st.integers(0, 3)),
    st.builds(Break),
)


class Scene:
    """A store with its worker's and its operator's parts, and all entries that were not dropped."""

    def __init__(self, folder: Path) -> None:
        clock, entropy = SystemClock(), SystemEntropy()
        self.store = EmbeddedStore(folder / "store.db", SystemClock())
        self.catalog = EmbeddedCatalog(folder / "catalog.db", entropy)
        rulebook = Rulebook(self.catalog)
        refresh = Refresh(MemoryCache(1 << 20, clock, entropy), rulebook, clock)
        self.quarantine = Quarantine(self.store, rulebook, refresh, LIMITS)
        self.persist = Persist(self.store, rulebook, LIMITS, _Unmoved(clock))
        self.entries: list[Entry] = []
        self.count = 0
        self.collection_id = ""

    async def make(self) -> None:
        made = await self.catalog.put("t", "c", Settings(), 1)
        self.collection_id = made.id

    def entry(self, write: Write) -> Entry:
        offset, self.count = self.count, self.count + 1
        data: dict[str, Any] = {f"n{offset % 4}": offset}
        if write.poisoned:
            data["poison"] = offset
        body = b"" if write.kind is Kind.DELETE else json.dumps(data).encode()
        own = [one for one in self.entries if one.operation.record_id == write.record_id]
        repeated = own[-1].operation.operation_id if write.repeats and own else f"k{offset}"
        operation = Operation(
            int(write.kind), "t", self.collection_id, write.record_id, repeated, body
        )
        return Entry(position(1, 0, offset), TIME + offset, operation)

    async def apply(self, batch: Batch) -> None:
        entries = []
        for one in batch.writes:
            entries.append(self.entry(one))
            self.entries.append(entries[-1])
        for _ in range(1 + batch.twice):
            await self.persist.slices([Slice(Partition(1, 0), entries)], lambda _: "log")

    async def waiting(self, record_id: str) -> list[Position]:
        page = await self.quarantine.page("t", self.collection_id, None, 1000)
        return [one.position for one in page.letters if one.record_id == record_id]

    async def replay(self, record_id: str) -> None:
        for first in (await self.waiting(record_id))[:1]:
            await self.quarantine.replay("t", first)

    async def drop(self, record_id: str, place: int) -> None:
        for dropped in (await self.waiting(record_id))[place : place + 1]:
            await self.quarantine.drop("t", dropped)
            self.entries = [one for one in self.entries if one.position != dropped]

    async def stored(self, record_id: str) -> State | None:
        return (await self.store.get(self.collection_id, [record_id])).get(record_id)

    def expected(self, record_id: str) -> State | None:
        own = [one for one in self.entries if one.operation.record_id == record_id]
        return fold(None, own, lambda _: RULES, {}, LIMITS).state if own else None


class _Unmoved(Burst):
    """Counts nothing: here the defect is there on purpose."""

    def note(self, position: Position, reason: str) -> None:
        del position, reason


async def played(folder: Path, steps: list[Any]) -> None:
    scene = Scene(folder)
    await scene.make()
    defect = ExitStack()
    broken = False
    for one in steps:
        match one:
            case Batch():
                await scene.apply(one)
            case Replay(record_id):
                await scene.replay(record_id)
            case Drop(record_id, place):
                await scene.drop(record_id, place)
            case Break():
                broken = not broken
                if broken:
                    defect.enter_context(a_defect())
                else:
                    defect.close()
    defect.close()
    for record_id in RECORDS:
        await scene.replay(record_id)
        assert await scene.waiting(record_id) == []
        found, wanted = await scene.stored(record_id), scene.expected(record_id)
        assert seen(found) == seen(wanted)
        assert found is None or (found.parked, found.parked_to) == (None, None)
        assert found is None or found.data is not None or found.gc_at is not None
    await scene.store.close()
    await scene.catalog.close()


def seen(state: State | None) -> tuple[Any, ...] | None:
    """What a reader sees of it."""
    if state is None or state.data is None:
        return None
    return state.version, state.created_at, state.updated_at, state.data


@settings(max_examples=60, deadline=None)
@given(st.lists(step, min_size=1, max_size=12))
def test_in_the_end_a_record_is_the_fold_of_all_its_entries_that_were_not_dropped(
    steps: list[Any],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(played(Path(folder), steps))
