"""Searching, beside plain Python: the same records, in the same order, whatever the index."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.searching import walk
from tests.contract.stores import Stores, new_collection, replace, state
from tests.support.evaluator import matches, plain, sort_key

from penstock.ports.store import Store
from penstock.query.plan import plan
from penstock.records.document import encode
from penstock.records.filter import parse_filter
from penstock.records.index import Index, IndexSettings, index_of, ordered
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


MOST = 12
"""Documents in an example."""

EXAMPLES = pytest.mark.parametrize(
    "examples", [250, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(7200)])]
)


class StoreComparingLaws:
    """To be inherited beside a fixture `stores`, a `Stores`, of which the examples share one."""

    @EXAMPLES
    async def test_filters_find_what_plain_python_finds(
        self, stores: Stores, examples: int
    ) -> None:
        store = await stores.fresh()
        refilled = Refilled(store)

        async def law(documents: list[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
            collection = await refilled.collection((), documents)
            for filter_ in asked:
                scan = Scan(filter=parse_filter(filter_))
                states = await store.scan(collection, scan, 100, 0, 20)
                found = [int(one.record_id) for one in states]
                expected = [n for n, one in enumerate(documents) if matches(one, filter_)]
                assert found == expected, (filter_, [documents[n] for n in found])
                assert await store.count(collection, [scan], scan.filter, 100, 0, 20) == len(
                    expected
                )

        await drive(
            law,
            examples,
            st.lists(DOCUMENTS, min_size=1, max_size=MOST),
            st.lists(filters(FIELDS), min_size=1, max_size=4),
        )

    @EXAMPLES
    async def test_pages_by_any_index_are_what_plain_python_sorts(
        self, stores: Stores, examples: int
    ) -> None:
        store = await stores.fresh()
        refilled = Refilled(store)

        async def law(
            documents: list[dict[str, Any]],
            asked: list[tuple[dict[str, Any], str]],
            some: list[IndexSettings],
            size: int,
        ) -> None:
            indexes = [index_of(one) for one in some]
            collection = await refilled.collection(indexes, documents)
            for filter_, sort in asked:
                await check_pages(store, collection, documents, filter_, sort, indexes, size)

        await drive(
            law,
            examples,
            st.lists(FLAT, min_size=1, max_size=MOST),
            st.lists(st.tuples(filters(FLAT_FIELDS), SORTS), min_size=1, max_size=3),
            st.lists(st.sampled_from(INDEXES), max_size=3, unique=True),
            st.integers(1, 5),
        )


class Refilled:
    """A collection for each set of indexes, made once: to make indexes costs more than the rest.

    An example's documents take the place of those before; where there are fewer, tombstones do.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._collections: dict[frozenset[str], str] = {}
        self._offset = 0

    async def collection(
        self, indexes: Sequence[Index], documents: Sequence[dict[str, Any]]
    ) -> str:
        """Its id, when it holds these documents and no others."""
        names = frozenset(one.name for one in indexes)
        collection = self._collections.get(names)
        if collection is None:
            collection = self._collections[names] = new_collection()
            for index in indexes:
                await self._store.build(collection, index)
        self._offset += MOST
        contents = [encode(one) for one in documents] + [None] * (MOST - len(documents))
        states = [state(f"{n:02}", self._offset + n, one) for n, one in enumerate(contents)]
        assert await replace(self._store, collection, states) == []
        return collection


async def drive(law: Any, examples: int, *strategies: Any) -> None:
    """Run examples of an asynchronous law, drawn on another thread, on the loop that runs here."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(*strategies))
    def on_thread(drawn: tuple[Any, ...]) -> None:
        asyncio.run_coroutine_threadsafe(law(*drawn), loop).result(60)

    await asyncio.to_thread(on_thread)


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
