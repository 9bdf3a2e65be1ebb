"""The laws of searching: the same as plain Python, on whatever index, however it is paged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.stores import Stores, insert, new_collection, replace, state
from tests.support.evaluator import matches, plain, sort_key

from penstock.adapters.embedded.clock import SystemClock
from penstock.errors import DeadlineExceeded
from penstock.ports.store import Store
from penstock.query.find import Finder
from penstock.query.plan import Plan, plan
from penstock.records.aggregate import Aggregation, Function, GroupKey, Measure
from penstock.records.collection import Collection, Rules, Settings, Target
from penstock.records.document import encode
from penstock.records.field import field
from penstock.records.filter import parse_filter
from penstock.records.index import Index, IndexSettings, index_of, ordered
from penstock.records.record import State
from penstock.records.scan import Scan

NAMES = ["a", "b", "c"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, -1.5, 1.0, 2**53 + 1, 2**63 - 1, -(2**63), 1e300]),
    st.sampled_from(
        ["", "a", "ab", "b", "\u00e9", "\U0001f6b0", "\ufb00", "$x", "'", '"', "%", "*"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
FLAT = st.dictionaries(st.sampled_from(NAMES), SCALARS, max_size=3)
FIELDS = st.sampled_from(["data.a", "data.b", "data.c", "data.a.a", "data.a.b", "data.b.a.c"])
ORDERED = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 2**53 + 1, "", "a", "b", "\ufb00"]))
PREFIXES = st.sampled_from(["", "a", "ab", "\u00e9", "\U0001f6b0", "%", "*", "\U0010ffff"])


def filters(fields: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    one = st.one_of(
        SCALARS,
        st.fixed_dictionaries({"$eq": SCALARS}),
        st.fixed_dictionaries({"$ne": SCALARS}),
        st.fixed_dictionaries({"$in": st.lists(SCALARS, max_size=3)}),
        st.fixed_dictionaries({"$nin": st.lists(SCALARS, max_size=3)}),
        st.dictionaries(
            st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), ORDERED, min_size=1, max_size=2
        ),
        st.fixed_dictionaries({"$prefix": PREFIXES}),
        st.fixed_dictionaries({"$exists": st.booleans()}),
        st.fixed_dictionaries({"$not": st.fixed_dictionaries({"$gt": ORDERED})}),
    )
    base = st.dictionaries(fields, one, max_size=3)
    return st.recursive(
        base,
        lambda inner: st.one_of(
            st.fixed_dictionaries({"$and": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"$not": inner}),
        ),
        max_leaves=4,
    )


INDEXES = [
    IndexSettings(("data.a",)),
    IndexSettings(("-data.b",)),
    IndexSettings(("data.a", "data.b")),
    IndexSettings(("data.c", "-data.a")),
    IndexSettings(("-data.b", "-data.a", "data.c")),
]
FLAT_FIELDS = st.sampled_from(["data.a", "data.b", "data.c"])
SORTS = st.sampled_from([
    "", "data.a", "-data.a", "data.b", "data.a,data.b", "-data.a,-data.b", "data.c,-data.a",
    "-data.c,data.a", "data.b,data.a,-data.c", "-data.c", "id", "-id", "data.b,data.c",
])  # fmt: skip


EXAMPLES = pytest.mark.parametrize(
    "examples", [250, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(7200)])]
)


class StoreSearchLaws:
    """To be inherited beside a fixture `stores`, a `Stores`, of which the examples share one."""

    @EXAMPLES
    async def test_filters_find_what_plain_python_finds(
        self, stores: Stores, examples: int
    ) -> None:
        store = await stores.fresh()

        async def law(documents: list[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
            collection = await filled(store, documents)
            for filter_ in asked:
                scan = Scan(filter=parse_filter(filter_))
                states = await store.scan(collection, scan, 100, 0, 20)
                found = [int(one.record_id) for one in states]
                expected = [n for n, one in enumerate(documents) if matches(one, filter_)]
                assert found == expected, (filter_, [documents[n] for n in found])
                assert await store.count(collection, [scan], scan.filter, 100, 0, 20) == len(
                    expected
                )
            await store.remove(collection)

        await drive(
            law,
            examples,
            st.lists(DOCUMENTS, min_size=1, max_size=8),
            st.lists(filters(FIELDS), min_size=1, max_size=4),
        )

    @EXAMPLES
    async def test_pages_by_any_index_are_what_plain_python_sorts(
        self, stores: Stores, examples: int
    ) -> None:
        store = await stores.fresh()

        async def law(
            documents: list[dict[str, Any]],
            asked: list[tuple[dict[str, Any], str]],
            some: list[IndexSettings],
            size: int,
        ) -> None:
            collection = await filled(store, documents)
            indexes = [index_of(one) for one in some]
            for index in indexes:
                await store.build(collection, index)
            for filter_, sort in asked:
                await check_pages(store, collection, documents, filter_, sort, indexes, size)
            await store.remove(collection)

        await drive(
            law,
            examples,
            st.lists(FLAT, min_size=1, max_size=12),
            st.lists(st.tuples(filters(FLAT_FIELDS), SORTS), min_size=1, max_size=3),
            st.lists(st.sampled_from(INDEXES), max_size=3, unique=True),
            st.integers(1, 5),
        )

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


async def drive(law: Any, examples: int, *strategies: Any) -> None:
    """Run examples of an asynchronous law, drawn on another thread, on the loop that runs here."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(*strategies))
    def on_thread(drawn: tuple[Any, ...]) -> None:
        asyncio.run_coroutine_threadsafe(law(*drawn), loop).result(60)

    await asyncio.to_thread(on_thread)


async def filled(store: Store, documents: Sequence[dict[str, Any]]) -> str:
    collection = new_collection()
    assert await insert(store, collection, states_of(documents)) == []
    return collection


def states_of(documents: Sequence[dict[str, Any]]) -> list[State]:
    return [state(f"{n:02}", n + 1, encode(one)) for n, one in enumerate(documents)]


async def check_pages(
    store: Store,
    collection: str,
    documents: Sequence[dict[str, Any]],
    filter_: dict[str, Any],
    sort: str,
    indexes: Sequence[Index],
    size: int,
) -> None:
    order = tuple(ordered(one) for one in sort.split(",")) if sort else ()
    made = plan(parse_filter(filter_), order, indexes)
    found = [int(one) for one in await walk(store, collection, made, size)]
    expected = [n for n, one in enumerate(documents) if matches(one, filter_)]
    assert sorted(found) == expected
    keys = [order_key(documents[n], n, sort) for n in found]
    assert keys == sorted(keys, key=cmp_to_key(by(sort))), (documents, filter_, sort, made)


async def walk(store: Store, collection: str, made: Plan, size: int) -> list[str]:
    """The ids on all pages, forward; backward from the last one they must be the same."""
    clock = SystemClock()
    finder, target = Finder(store, clock), target_of(collection)
    until = clock.monotonic() + 60
    pages: list[list[str]] = []
    mark, first, has_more = None, None, True
    while has_more:
        found, has_more = await finder.find(
            target, made, mark, size, 10**9, backward=False, deadline=until
        )
        pages.append([one.state.record_id for one in found])
        mark = found[-1].mark if found else None
        first = found[0].mark if found else None
    forward = [one for page in pages for one in page]
    assert len(set(forward)) == len(forward)
    if len(pages) > 1 and made.merged is False:
        behind: list[str] = []
        has_more = True
        while has_more:
            found, has_more = await finder.find(
                target, made, first, size, 10**9, backward=True, deadline=until
            )
            behind = [one.state.record_id for one in found] + behind
            first = found[0].mark if found else None
        assert behind == forward[: len(behind)]
        assert len(behind) == len(forward) - len(pages[-1])
    return forward


def target_of(collection_id: str) -> Target:
    collection = Collection(collection_id, "t", "c", 1, Settings(), 0, 0)
    return Target("t", collection, Rules(Settings()))


def by(sort: str) -> Any:
    """Compares keys of `order_key`, each field its way round."""
    turned = [one.startswith("-") for one in sort.split(",")] if sort else []

    def compared(one: list[Any], other: list[Any]) -> int:
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            if left != right:
                less = left < right
                is_turned = turned[place] if place < len(turned) else False
                return -1 if less is not is_turned else 1
        return 0

    return compared


def order_key(document: dict[str, Any], number: int, sort: str) -> list[Any]:
    return [
        (number,) if one.lstrip("-") == "id" else sort_key(plain(document, one.lstrip("-")))
        for one in (sort.split(",") if sort else [])
    ]
