"""The laws of `ports.store`: what is written, under which conditions, and what is read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.contract.stores import (
    READS,
    Stores,
    as_read,
    at,
    insert,
    listed,
    load,
    mark,
    new_collection,
    read,
    replace,
    state,
)

from penstock.errors import DeadlineExceeded
from penstock.records.document import encode
from penstock.records.position import position
from penstock.records.record import State

ODD_IDS = [
    "a", "A", "a b", "a/b", "$a", "a.b", ".", "'; DROP TABLE x; --", '"', "\\", "%_", "[]", "null",
    "1", "01", "1.0", "\u00e9", "e\u0301", "\U0001f6b0", "\ufb00", "x" * 512, "\u6f22" * 170,
]  # fmt: skip

ODD_DATA: list[Any] = [
    {},
    {"a": None, "b": True, "c": [], "d": {}, "e": ""},
    {"$ref": "x", "$id": 1, "$db": "y"},
    {"$set": {"$oid": "0" * 24}, "$date": 0, "$numberLong": "1", "$binary": ""},
    {"a.b": 1, "a": {"b": 2}, "": {"": 3}, ".": 4, "$": 5},
    {"_id": 1, "data": {"fence": 2}, "__proto__": 3},
    {"z": 1, "a": 2, "10": 3, "9": 4},
    {"least": -(2**63), "most": 2**63 - 1, "past a double": 2**53 + 1, "int": 1, "float": 1.0},
    {"floats": [0.1, -0.0, 1e308, 5e-324, 1e16, 123456789.125, 1e22]},
    {"text": '\U0001f6b0 \u00e9 e\u0301 \u0000 \u2028 \u007f " \\ / \n'},
    {"long": "x" * 300_000},
    {"times": ["2026-01-31T12:00:00Z", 0, -1]},
]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if isinstance(value, dict) else {"a": value}
    return value


class StoreLaws:
    """To be inherited beside a fixture `stores`, a `Stores`."""

    # What has no time left is not read.

    async def test_a_read_without_time_left_is_late_and_one_with_time_is_answered(
        self, stores: Stores
    ) -> None:
        store, collection = await stores.fresh(), new_collection()
        await insert(store, collection, [state("r", 1)])
        for ask in READS.values():
            for none_left in (0.0, -1.0):
                with pytest.raises(DeadlineExceeded):
                    await ask(store, collection, none_left)
            await ask(store, collection, 5.0)
        assert await store.get(collection, ["r"], 5.0) == {"r": state("r", 1)}

    # What is read is what was written.

    async def test_every_id_names_a_record_of_its_own(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        states = [state(one, place, encode({"n": place})) for place, one in enumerate(ODD_IDS)]
        assert await insert(store, collection, states) == []
        assert await store.get(collection, ODD_IDS) == {one.record_id: one for one in states}
        for one in states:
            assert await read(store, collection, one.record_id) == one

    @pytest.mark.parametrize("how", [insert, replace])
    async def test_data_comes_back_byte_by_byte(self, stores: Stores, how: Any) -> None:
        store, collection = await stores.fresh(), new_collection()
        states = [
            state(f"r{place}", place, encode(data))
            for place, data in enumerate([*ODD_DATA, nested(64)])
        ]
        assert await how(store, collection, states) == []
        ids = [one.record_id for one in states]
        found = await store.get(collection, ids)
        assert [found[one].data for one in ids] == [one.data for one in states]
        page = await listed(store, collection, None, 100, 0)
        assert {one.record_id: one.data for one in page} == {
            one.record_id: one.data for one in states
        }
        loaded = await load(store, collection, ids, ids)
        assert [loaded[one].data for one in ids] == [one.data for one in states]

    @pytest.mark.parametrize("how", [insert, replace])
    async def test_every_field_comes_back(self, stores: Stores, how: Any) -> None:
        store, collection = await stores.fresh(), new_collection()
        full = State(
            "r", at(9), at(7), 1, 2**45, b'{"a":1}', 2**45 + 1, 2**45 + 2,
            (mark("k'1", 3), mark("p\u00e9", 9)), spilled=True,
        )  # fmt: skip
        tombstone = state("t", 4, None, gc_at=5, marks=(mark("p4", 4),))
        stub = state("s", 6, None, parked=at(5))
        assert await how(store, collection, [full, tombstone, stub]) == []
        assert await store.get(collection, ["r", "t", "s"]) == {
            "r": as_read(full), "t": as_read(tombstone), "s": as_read(stub),
        }  # fmt: skip
        assert await load(store, collection, ["r", "t", "s"], ["r", "t", "s"]) == {
            "r": full, "t": tombstone, "s": stub,
        }  # fmt: skip

    async def test_data_is_loaded_where_it_is_asked_for(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        states = {one: state(one, 1, b'{"a":1}', marks=(mark("p1", 1),)) for one in "abcd"}
        await insert(store, collection, list(states.values()))
        found = await load(store, collection, ["a", "b", "c", "absent"], ["b"])
        assert found == {
            "a": msgspec.structs.replace(states["a"], data=msgspec.UNSET),
            "b": states["b"],
            "c": msgspec.structs.replace(states["c"], data=msgspec.UNSET),
        }

    async def test_what_is_not_there_is_not_found(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        assert await store.get(collection, ["a"]) == {}
        assert await listed(store, collection, None, 10, 0) == []
        assert await store.mark(collection, "a", "p1") is None
        assert await store.outcome(at(1)) is None
        assert await store.applied() == {}
        assert await load(store, collection, ["a"], ["a"]) == {}
        await insert(store, collection, [state("a", 1)])
        assert await store.get(collection, ["b", "A", "a ", ""]) == {}
        assert await store.get(collection, []) == {}
        assert await insert(store, collection, []) == []
        assert await replace(store, collection, []) == []
        assert await load(store, collection, []) == {}

    async def test_many_are_found_at_once(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        states = [state(f"r{number}", number, b"%d" % number) for number in range(2000)]
        assert await insert(store, collection, states) == []
        asked = [f"r{number}" for number in range(1000, 2000)]
        found = await store.get(collection, [*asked, "absent"])
        assert found == {one.record_id: one for one in states[1000:]}

    async def test_collections_do_not_know_each_other(self, stores: Stores) -> None:
        store = await stores.fresh()
        one, other = new_collection(), new_collection()
        await insert(store, one, [state("r", 1, b'"one"')])
        await insert(store, other, [state("r", 2, b'"other"')])
        await replace(store, other, [state("s", 3)])
        assert await read(store, one, "r") == state("r", 1, b'"one"')
        assert await read(store, other, "r") == state("r", 2, b'"other"')
        assert [found.record_id for found in await listed(store, one, None, 10, 0)] == ["r"]

    # Conditions.

    @pytest.mark.parametrize("count", [1, 63, 64, 65, 500])
    async def test_an_insert_spares_those_that_exist_and_names_them(
        self, stores: Stores, count: int
    ) -> None:
        store, collection = await stores.fresh(), new_collection()
        ids = [f"r{number}" for number in range(count)]
        existing = ids[::3]
        before = {one: state(one, 5, b'"before"') for one in existing}
        await insert(store, collection, list(before.values()))
        # Some with the same fence: what stands may still have been made from more entries.
        later = {one: state(one, 5 + place % 2, b'"later"') for place, one in enumerate(ids)}
        assert sorted(await insert(store, collection, list(later.values()))) == sorted(existing)
        assert await store.get(collection, ids) == later | before

    @pytest.mark.parametrize("count", [1, 63, 64, 65, 500])
    async def test_a_write_is_without_effect_where_the_fence_is_not_lower(
        self, stores: Stores, count: int
    ) -> None:
        store, collection = await stores.fresh(), new_collection()
        ids = [f"r{number}" for number in range(count)]
        before = {one: state(one, 10, b'"before"') for one in ids}
        await insert(store, collection, list(before.values()))
        stale = {one: state(one, 9, b'"stale"') for one in ids[::3]}
        later = {one: state(one, 11, b'"later"') for one in [*ids, "new"] if one not in stale}
        refused = await replace(store, collection, [*stale.values(), *later.values()])
        assert sorted(refused) == sorted(stale)
        assert await store.get(collection, [*ids, "new"]) == before | later

    async def test_a_repeated_write_changes_nothing(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        await replace(store, collection, [state("r", 3, b'"first"')])
        await replace(store, collection, [state("r", 3, b'"second"')])
        assert await read(store, collection, "r") == state("r", 3, b'"first"')

    async def test_fences_are_ordered_over_partitions_and_generations(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        rising = [position(1, 0, 255), position(1, 0, 256), position(1, 1, 0), position(2, 0, 0)]
        for fence in rising:
            assert (
                await replace(store, collection, [state("r", 1, encode(fence), fence=fence)]) == []
            )
        for fence in rising[:-1]:
            stale = state("r", 1, fence=fence)
            assert await replace(store, collection, [stale]) == ["r"]
        found = await read(store, collection, "r")
        assert found is not None
        assert (found.fence, found.data) == (rising[-1], encode(rising[-1]))

    async def test_a_parked_record_is_not_touched(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        await insert(store, collection, [state("r", 1, b'"before"'), state("free", 1)])
        parked = state("r", 2, b'"before"', parked=at(3))
        assert await replace(store, collection, [parked]) == []
        assert await read(store, collection, "r") == parked
        later = [state("r", 4, b'"later"'), state("free", 4, b'"later"')]
        assert await replace(store, collection, later) == ["r"]
        assert await insert(store, collection, later[:1]) == ["r"]
        moved = [state("r", 5, msgspec.UNSET)]
        assert await replace(store, collection, moved) == ["r"]
        assert await read(store, collection, "r") == parked
        assert await read(store, collection, "free") == later[1]

    async def test_what_is_written_without_data_keeps_its_data(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        before = [state("r", 1, b'{"a":1}'), state("t", 1, None, gc_at=9)]
        await insert(store, collection, before)
        moved = [
            state("r", 2, msgspec.UNSET, version=at(1), marks=(mark("p2", 2),), spilled=True),
            state("t", 2, msgspec.UNSET, version=at(1), gc_at=10),
            state("u", 2, b'{"b":2}'),
        ]
        assert await replace(store, collection, moved) == []
        assert await load(store, collection, ["r", "t", "u"], ["r", "t", "u"]) == {
            "r": msgspec.structs.replace(moved[0], data=b'{"a":1}'),
            "t": msgspec.structs.replace(moved[1], data=None),
            "u": moved[2],
        }

    async def test_a_record_goes_and_comes_again(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        steps = [
            state("r", 1, b'{"a":1}', expires_at=50, gc_at=60),
            state("r", 2, None, gc_at=70),
            state("r", 3, b'{"a":3}'),
        ]
        for step in steps:
            assert await replace(store, collection, [step]) == []
            assert await read(store, collection, "r") == step
