"""The laws of `ports.store`: pages, positions, outcomes, marks, and what goes in the end."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.contract.stores import (
    Stores,
    at,
    conclude,
    insert,
    listed,
    mark,
    new_collection,
    reached,
    read,
    replace,
    state,
)

from penstock.errors import Fault
from penstock.ports.store import Store
from penstock.records.outcome import Outcome, Result
from penstock.records.position import Partition
from penstock.records.record import State

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


async def paged(store: Store, collection: str, size: int, now: int = 0) -> list[str]:
    """The ids of all pages of this size."""
    ids: list[str] = []
    after: str | None = None
    while page := await listed(store, collection, after, size, now):
        assert len(page) <= size
        after = page[-1].record_id
        ids += [one.record_id for one in page]
    return ids


class StoreKeepingLaws:
    """To be inherited beside a fixture `stores`, a `Stores`."""

    # Pages.

    @pytest.mark.parametrize("size", [1, 3, 1000])
    async def test_pages_go_by_code_point(self, stores: Stores, size: int) -> None:
        store, collection = await stores.fresh(), new_collection()
        # By UTF-16 the pot would come before the ligature; by a dictionary, e before E and Z.
        ordered = ["1", "10", "2", "E", "Z", "a", "a b", "a-b", "a.b", "ab", "e", "e\u0301",
                   "\u00e9", "\u6f22", "\ufb00", "\U0001f6b0"]  # fmt: skip
        shuffled = ordered[::2] + ordered[1::2]
        await insert(store, collection, [state(one, 1) for one in shuffled])
        assert await paged(store, collection, size) == ordered

    async def test_a_page_begins_above_an_id_that_need_not_exist(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        states = [state(one, 1, b'"%b"' % one.encode()) for one in "bdf"]
        await insert(store, collection, states)
        assert await listed(store, collection, "a", 10, 0) == states
        assert await listed(store, collection, "b", 10, 0) == states[1:]
        assert await listed(store, collection, "c", 1, 0) == states[1:2]
        assert await listed(store, collection, "f", 10, 0) == []

    async def test_a_page_is_full_though_some_do_not_exist(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        hidden = [
            state("a", 1, None, gc_at=2**45),
            state("b", 1, expires_at=500),
            state("c", 1, expires_at=499),
            state("d", 1, None, parked=at(1)),
        ]
        seen = [state("e", 1, expires_at=501), state("f", 1), state("g", 1)]
        await insert(store, collection, hidden + seen)
        assert await listed(store, collection, None, 2, 500) == seen[:2]
        assert await paged(store, collection, 2, 500) == ["e", "f", "g"]
        assert await paged(store, collection, 2, 499) == ["b", "e", "f", "g"]

    # Positions and outcomes.

    async def test_the_applied_position_never_goes_back(self, stores: Stores) -> None:
        store = await stores.fresh()
        for offset in (5, 7, 3, 7, 0):
            await conclude(store, [], reached(offset))
        assert await store.applied() == {Partition(1, 0): reached(7)}

    async def test_each_partition_has_an_applied_position(self, stores: Stores) -> None:
        store = await stores.fresh()
        await conclude(store, [], reached(5, 0), reached(2, 1))
        await conclude(store, [], reached(1, 3), reached(9, 1))
        assert await store.applied() == {
            Partition(1, 0): reached(5, 0),
            Partition(1, 1): reached(9, 1),
            Partition(1, 3): reached(1, 3),
        }

    async def test_an_outcome_comes_back_by_its_position(self, stores: Stores) -> None:
        store = await stores.fresh()
        now = int(time.time() * 1000)
        outcomes = [
            Outcome(at(1), Result.REJECTED, now, code="schema_violation", detail="It's \"x\".",
                    faults=(Fault("/a~1b/\u00e9", "no"), Fault("", "neither"))),
            Outcome(at(2), Result.DUPLICATE, now, first=at(0), effect="c"),
            Outcome(at(3), Result.DUPLICATE, now, first=at(1), effect="r", code="record_exists"),
            Outcome(at(4, 1), Result.QUARANTINED, now),
        ]  # fmt: skip
        await conclude(store, outcomes, reached(9))
        # As after a crash: the same again.
        await conclude(store, outcomes, reached(9))
        assert [await store.outcome(one.position) for one in outcomes] == outcomes
        assert await store.outcome(at(4)) is None
        assert await store.outcome(at(5)) is None

    async def test_a_read_sees_all_up_to_the_applied_position(self, stores: Stores) -> None:
        store = await stores.fresh()
        collections = [new_collection() for _ in range(40)]
        done = asyncio.Event()

        async def write() -> None:
            for offset, collection in enumerate(collections):
                async with store.batch() as batch:
                    await batch.insert(collection, [state("r", offset)])
                    await batch.conclude([], {Partition(1, 0): reached(offset)})
                await asyncio.sleep(0)
            done.set()

        writing = asyncio.create_task(write())
        while not done.is_set():
            for applied in (await store.applied()).values():
                offset = int(applied.operation_id[1:])
                assert await read(store, collections[offset], "r") == state("r", offset)
            await asyncio.sleep(0)
        await writing

    async def test_another_process_sees_what_was_applied(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        other = await stores.beside(store)
        assert await read(other, collection, "r") is None
        for offset in range(3):
            async with store.batch() as batch:
                await batch.replace(collection, [state("r", offset)])
                await batch.conclude([], {Partition(1, 0): reached(offset)})
            assert await other.applied() == {Partition(1, 0): reached(offset)}
            assert await read(other, collection, "r") == state("r", offset)
            assert await listed(other, collection, None, 10, 0) == [state("r", offset)]

    async def test_a_batch_that_fails_moves_no_position_and_may_be_repeated(
        self, stores: Stores
    ) -> None:
        store, collection = await stores.fresh(), new_collection()

        async def apply(*, failing: bool) -> None:
            async with store.batch() as batch:
                await batch.spill(collection, [("r", mark("k1", 1), DAY_MS)])
                await batch.replace(collection, [state("r", 2, b'{"a":1}')])
                if failing:
                    raise RuntimeError("half-way")
                outcome = Outcome(at(1), Result.DUPLICATE, 1, first=at(0), effect="c")
                await batch.conclude([outcome], {Partition(1, 0): reached(2)})

        for _ in range(2):
            with pytest.raises(RuntimeError, match="half-way"):
                await apply(failing=True)
            assert await store.applied() == {}
        await apply(failing=False)
        assert await store.applied() == {Partition(1, 0): reached(2)}
        assert await read(store, collection, "r") == state("r", 2, b'{"a":1}')
        assert await store.mark(collection, "r", "k1") == mark("k1", 1)

    # Marks.

    async def test_marks_are_remembered_in_the_record_and_beside_it(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        inside, beside = mark("k'in", 7), mark("k.beside\u00e9", 3)
        async with store.batch() as batch:
            await batch.spill(collection, [("r", beside, DAY_MS), ("s", mark("k1", 1), DAY_MS)])
            await batch.insert(collection, [state("r", 7, marks=(inside,), spilled=True)])
        assert await store.mark(collection, "r", "k'in") == inside
        assert await store.mark(collection, "r", "k.beside\u00e9") == beside
        assert await store.mark(collection, "r", "k1") is None
        assert await store.mark(collection, "x", "k'in") is None
        assert await store.mark(new_collection(), "r", "k.beside\u00e9") is None

    async def test_spilled_marks_are_found_by_record_and_operation(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        async with store.batch() as batch:
            await batch.spill(
                collection,
                [(f"r{number}", mark(f"k{number}", number), DAY_MS) for number in range(50)],
            )
            await batch.spill(collection, [("r1", mark("k1", 1), DAY_MS)])
        async with store.batch() as batch:
            asked = [("r1", "k1"), ("r2", "k3"), ("r40", "k40"), ("absent", "k1")]
            assert await batch.spilled(collection, asked) == {
                ("r1", "k1"): mark("k1", 1),
                ("r40", "k40"): mark("k40", 40),
            }
            assert await batch.spilled(new_collection(), asked) == {}
            assert await batch.spilled(collection, []) == {}

    # What goes, and what stays.

    async def test_what_is_due_is_swept_and_nothing_else(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        now = int(time.time() * 1000)
        old, young = now - HOUR_MS, now + HOUR_MS
        due = [state(f"d{number}", 1, None, gc_at=old) for number in range(10)]
        kept = [
            state("k1", 1, None, gc_at=young),
            state("k2", 1, expires_at=old, gc_at=young),
            state("k3", 1),
        ]
        outcomes = [
            Outcome(at(1), Result.QUARANTINED, now - DAY_MS - HOUR_MS),
            Outcome(at(2), Result.QUARANTINED, now - DAY_MS + HOUR_MS),
        ]
        async with store.batch() as batch:
            await batch.spill(collection, [("r", mark("k1", 1), old), ("r", mark("k2", 2), young)])
            await batch.insert(collection, due + kept)
            await batch.conclude(outcomes, {Partition(1, 0): reached(2)})
        await stores.swept(store, now, now - DAY_MS)
        assert await store.get(collection, [one.record_id for one in due + kept]) == {
            one.record_id: one for one in kept
        }
        assert [await store.outcome(one.position) for one in outcomes] == [None, outcomes[1]]
        assert await store.mark(collection, "r", "k1") is None
        assert await store.mark(collection, "r", "k2") == mark("k2", 2)

    async def test_what_is_written_again_is_not_swept(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        now = int(time.time() * 1000)
        await insert(store, collection, [state("r", 1, None, gc_at=now + HOUR_MS)])
        await replace(store, collection, [state("r", 2)])
        await stores.swept(store, now + 2 * HOUR_MS, 0)
        assert await read(store, collection, "r") == state("r", 2)

    async def test_a_removed_collection_is_gone_and_others_are_not(self, stores: Stores) -> None:
        store, gone, kept = await stores.fresh(), new_collection(), new_collection()
        for collection in (gone, kept):
            async with store.batch() as batch:
                await batch.spill(collection, [("r", mark("k1", 1), DAY_MS)])
                await batch.insert(collection, [state("r", 2, spilled=True)])
        for _ in range(2):
            await store.remove(gone)
            assert await read(store, gone, "r") is None
            assert await listed(store, gone, None, 10, 0) == []
            assert await store.mark(gone, "r", "k1") is None
            async with store.batch() as batch:
                assert await batch.spilled(gone, [("r", "k1")]) == {}
        await store.remove(new_collection())
        store = await stores.reopened(store)
        assert await read(store, gone, "r") is None
        assert await read(store, kept, "r") == state("r", 2, spilled=True)
        assert await store.mark(kept, "r", "k1") == mark("k1", 1)

    # Durability.

    @pytest.mark.parametrize("settled", [False, True])
    async def test_the_next_process_finds_it_all(self, stores: Stores, settled: bool) -> None:
        store, collection = await stores.fresh(), new_collection()
        states: list[State] = [state(f"r{number}", number) for number in range(300)]
        outcome = Outcome(at(1), Result.QUARANTINED, int(time.time() * 1000))
        async with store.batch() as batch:
            await batch.spill(collection, [("r1", mark("k1", 1), DAY_MS)])
            await batch.insert(collection, states)
            await batch.conclude([outcome], {Partition(1, 0): reached(299)})
        if settled:
            await store.settle()
            await store.settle()
        store = await stores.reopened(store)
        assert await store.applied() == {Partition(1, 0): reached(299)}
        assert await store.outcome(at(1)) == outcome
        assert await store.mark(collection, "r1", "k1") == mark("k1", 1)
        assert len(await paged(store, collection, 100)) == 300
        assert await replace(store, collection, [state("r1", 1000)]) == []
        assert await read(store, collection, "r1") == state("r1", 1000)
