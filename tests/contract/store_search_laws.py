"""The laws of searching: indexes, groups, and what takes too long."""

from __future__ import annotations

from typing import Any

import pytest
from tests.contract.searching import filled, states_of, walk
from tests.contract.stores import Stores, insert, new_collection, replace, state
from tests.support.evaluator import matches

from penstock.errors import DeadlineExceeded
from penstock.query.plan import plan
from penstock.records.aggregate import Aggregation, Function, GroupKey, Measure
from penstock.records.document import encode
from penstock.records.field import field
from penstock.records.filter import parse_filter
from penstock.records.index import IndexSettings, index_of
from penstock.records.scan import Scan


class StoreSearchLaws:
    """To be inherited beside a fixture `stores`, a `Stores`."""

    async def test_an_array_index_finds_records_once_by_their_elements(
        self, stores: Stores
    ) -> None:
        store, index = await stores.fresh(), index_of(IndexSettings(("data.a",), array=True))
        documents: list[dict[str, Any]] = [
            {"a": ["x", "y"]}, {"a": "x"}, {"a": []}, {}, {"a": ["y", "y", 1, None]}, {"a": 1.0},
            {"a": [True]},
        ]  # fmt: skip
        collection = await filled(store, documents[:3])
        await store.build(collection, index)
        await insert(store, collection, states_of(documents)[3:])
        for filter_ in ({"data.a": "x"}, {"data.a": {"$in": ["x", "y", 1]}}, {"data.a": True}):
            made = plan(parse_filter(filter_), (), [index])
            assert made.is_served
            found = await walk(store, collection, made, 2)
            expected = {n for n, one in enumerate(documents) if matches(one, filter_)}
            assert sorted(map(int, found)) == sorted(expected)
        changed = state("00", 100, encode({"a": ["z"]}))
        assert await replace(store, collection, [changed]) == []
        for value, ids in (("x", ["01"]), ("z", ["00"])):
            made = plan(parse_filter({"data.a": value}), (), [index])
            assert await walk(store, collection, made, 5) == ids

    async def test_an_index_in_whose_way_a_record_is_names_it(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        index = index_of(IndexSettings(("data.a.b", "data.c")))
        await insert(store, collection, [state("x", 1, encode({"a": {"b": 1}}))])
        await insert(store, collection, [state("bad", 2, encode({"a": [{"b": 1}]}))])
        await store.build(collection, index)
        known = (await store.indexes(collection))[index.name]
        assert (known.is_ready, known.unfit) == (False, "bad")
        assert await replace(store, collection, [state("bad", 3, None)]) == []
        await store.build(collection, index)
        assert (await store.indexes(collection))[index.name].is_ready
        await store.build(collection, index)
        await store.unbuild(collection, index.name)
        assert await store.indexes(collection) == {}

    async def test_indexes_hold_only_what_exists(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        index = index_of(IndexSettings(("-data.a",)))
        await store.build(collection, index)
        states = [
            state("kept", 1, encode({"a": 1})),
            state("gone", 2, None),
            state("expired", 3, encode({"a": 2}), expires_at=50),
        ]
        await insert(store, collection, states)
        scan = Scan(index)
        assert await store.scan(collection, scan, 10, 50, 10) == states[:1]
        assert await store.scan(collection, scan, 10, 49, 10) == [states[2], states[0]]
        assert await store.count(collection, [scan], None, 10, 50, 10) == 1
        assert await store.count(collection, [scan], None, 1, 49, 10) == 1

    async def test_groups_are_what_plain_python_works_out(self, stores: Stores) -> None:
        store = await stores.fresh()
        documents: list[dict[str, Any]] = [
            {"k": "a", "n": 1}, {"k": "a", "n": 2.5}, {"k": None, "n": "x"}, {"n": True}, {"k": 1},
            {"k": 1.0, "n": -7}, {"k": True, "n": [5]}, {"k": ["a"], "n": 100}, {"k": {"a": 1}},
        ]  # fmt: skip
        collection = await filled(store, documents)
        number = field("data.n")
        wanted = Aggregation(
            (GroupKey(field("data.k")),),
            (
                Measure(Function.COUNT),
                *(Measure(one, number) for one in (Function.SUM, Function.AVERAGE)),
                *(Measure(one, number) for one in (Function.MIN, Function.MAX)),
            ),
        )
        groups = await store.aggregate(collection, [Scan()], None, wanted, 0, 10)
        assert [(one.keys, one.measures) for one in groups] == [
            ((None,), (4, 100, 100.0, 100, True)),
            ((1,), (2, -7, -7.0, -7, -7)),
            (("a",), (2, 3.5, 1.75, 1, 2.5)),
            ((True,), (1, 0, None, None, None)),
        ]
        asked = parse_filter({"data.n": {"$gt": 0}})
        alone = Aggregation((), (Measure(Function.COUNT), Measure(Function.SUM, number)))
        groups = await store.aggregate(collection, [Scan(filter=asked)], asked, alone, 0, 10)
        # The array's element is above 0, but it is no number to add.
        assert [one.measures for one in groups] == [(4, 103.5)]

    async def test_percentiles_are_by_nearest_rank(self, stores: Stores) -> None:
        store = await stores.fresh()
        documents: list[dict[str, Any]] = [{"n": n} for n in (15, 20, 35, 40, 50)]
        collection = await filled(store, [*documents, {"n": "x"}, {"n": [99]}, {}])
        percents = (5, 30, 40, 50, 99.9)
        measures = tuple(Measure(Function.PERCENTILE, field("data.n"), one) for one in percents)
        wanted = Aggregation((), measures)
        groups = await store.aggregate(collection, [Scan()], None, wanted, 0, 10)
        # The example of Wikipedia's "Percentile", the nearest-rank method; 99.9 is the last.
        assert [one.measures for one in groups] == [(15, 20, 20, 35, 50)]
        none = parse_filter({"data.n": "x"})
        groups = await store.aggregate(collection, [Scan(filter=none)], none, wanted, 0, 10)
        assert [one.measures for one in groups] == [(None,) * 5]

    async def test_times_are_grouped_by_stretches(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        texts = ["2026-01-01T23:59:59.999Z", "2026-01-02T00:00:00Z", "2026-01-01T23:30:00-01:00", 7]
        states = [
            state(str(n), n + 1, encode({"t": text}), created_at=n * 40_000)
            for n, text in enumerate(texts)
        ]
        await insert(store, collection, states)
        count = (Measure(Function.COUNT),)
        day = 86_400_000
        first = 1_767_225_600_000  # date -d 2026-01-01T00:00:00Z +%s
        wanted = Aggregation((GroupKey(field("data.t"), day),), count)
        groups = await store.aggregate(collection, [Scan()], None, wanted, 0, 10)
        assert [(one.keys[0], one.measures[0]) for one in groups] == [
            (None, 1), (first, 1), (first + day, 2),
        ]  # fmt: skip
        wanted = Aggregation((GroupKey(field("created_at"), 60_000),), count, ((1, True),), 1)
        groups = await store.aggregate(collection, [Scan()], None, wanted, 0, 10)
        assert [(one.keys[0], one.measures[0]) for one in groups] == [(0, 2)]

    async def test_what_takes_too_long_is_given_up(self, stores: Stores) -> None:
        store = await stores.fresh()
        documents = [{"a": "x" * 100, "b": [n] * 50} for n in range(20_000)]
        collection = await filled(store, documents)
        asked = parse_filter({"data.b": {"$in": [-1 - n for n in range(100)]}})
        with pytest.raises(DeadlineExceeded):
            await store.scan(collection, Scan(filter=asked), 10, 0, 0.02)
        with pytest.raises(DeadlineExceeded):
            await store.count(collection, [Scan(filter=asked)], asked, 10, 0, 0.02)
        assert await store.scan(collection, Scan(), 1, 0, 5) != []
        assert await store.estimate(collection) == 20_000
