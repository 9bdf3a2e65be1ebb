"""Which indexes a query is answered by, and which would serve one that none does."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.query.plan import plan, suggestion
from penstock.records.filter import parse_filter
from penstock.records.index import BY_ID, End, IndexSettings, Range, index_of, ordered

SITE = index_of(IndexSettings(("data.site", "-data.level")))
AT = index_of(IndexSettings(("data.at",)))
TAGS = index_of(IndexSettings(("data.tags",), array=True))
INDEXES = [SITE, AT, TAGS]


def planned(filter_: Any, sort: str = "") -> Any:
    order = tuple(ordered(one) for one in sort.split(",")) if sort else ()
    return plan(None if filter_ is None else parse_filter(filter_), order, INDEXES)


@pytest.mark.parametrize(
    ("filter_", "sort", "indexes"),
    [
        (None, "", [BY_ID]),
        (None, "-id", [BY_ID]),
        ({"id": "x"}, "", [BY_ID]),
        ({"id": "x", "data.site": "a"}, "", [BY_ID]),
        ({"data.site": "a"}, "", [SITE]),
        ({"data.site": "a", "data.at": {"$gt": "b"}}, "", [SITE]),
        ({"data.at": {"$gt": "b"}, "data.level": 3}, "", [AT]),
        ({"data.at": None}, "", [AT]),
        ({"data.tags": "x"}, "", [TAGS]),
        ({"data.tags": {"$in": ["x", "y"]}}, "", [TAGS, TAGS]),
        ({"data.tags": "x"}, "id", [TAGS]),
        ({"$or": [{"data.site": "a"}, {"data.at": 5}]}, "", [SITE, AT]),
        ({"$and": [{"$or": [{"data.at": 1}, {"data.at": 2}]}, {"data.x": 1}]}, "", [AT, AT]),
        ({"data.site": {"$in": ["a", "b"]}}, "", [SITE]),
        ({"data.site": {"$in": ["a", "b"]}}, "-data.level", [SITE, SITE]),
        ({"data.site": {"$in": ["a", "b"]}}, "data.site", [SITE]),
        ({"data.site": "a"}, "data.level", [SITE]),
        ({"data.site": "a"}, "data.site,data.level,-id", [SITE]),
        # Each alternative has one value, but not the same.
        ({"$or": [{"data.at": "a"}, {"data.at": "b"}]}, "data.at", [AT, AT]),
        (None, "data.site,-data.level", [SITE]),
        (None, "-data.at", [AT]),
        ({"data.at": {"$in": []}}, "", []),
    ],
)
def test_a_query_is_served_by(filter_: Any, sort: str, indexes: list[Any]) -> None:
    made = planned(filter_, sort)
    assert made.is_served
    assert not made.sorted_here
    assert [one.index for one in made.streams] == indexes


@pytest.mark.parametrize(
    ("filter_", "sort"),
    [
        ({"data.level": 3}, ""),
        ({"data.site": {"$ne": "a"}}, ""),
        ({"$not": {"data.site": "a"}}, ""),
        ({"data.at": {"$exists": False}}, ""),
        ({"data.tags": {"$gt": "x"}}, ""),
        ({"data.tags": None}, ""),
        ({"$or": [{"data.site": "a"}, {"data.x": 1}]}, ""),
        ({"data.x": 1}, "data.at"),
        ({"data.at": "a"}, "data.level"),
        (None, "data.level"),
        (None, "data.site,data.level"),
        (None, "data.tags"),
    ],
)
def test_a_query_is_not_served(filter_: Any, sort: str) -> None:
    assert not planned(filter_, sort).is_served


def test_bounds_are_of_one_type() -> None:
    (numbers,) = planned({"data.at": {"$gte": 3}}).streams
    assert numbers.ranges == (Range(End((3,)), End(("",), is_open=True)),)
    (text,) = planned({"data.at": {"$lt": "b"}}).streams
    assert text.ranges == (Range(End(("",)), End(("b",), is_open=True)),)
    (prefix,) = planned({"data.at": {"$prefix": "az"}}).streams
    assert prefix.ranges == (Range(End(("az",)), End(("a{",), is_open=True)),)
    # Level falls in the index: what is above 3 comes first.
    (falling,) = planned({"data.site": "a", "data.level": {"$gt": 3}}).streams
    assert falling.ranges == (Range(End(("a", ""), is_open=True), End(("a", 3), is_open=True)),)


def test_what_bounds_do_not_say_stays_a_filter() -> None:
    asked = {"data.at": {"$gt": "a"}, "data.x": 1, "$not": {"data.at": "b"}}
    (stream,) = planned(asked).streams
    assert stream.rest == parse_filter({"data.x": 1, "$not": {"data.at": "b"}})
    (served,) = planned({"data.at": {"$gt": "a", "$lt": "c"}}).streams
    assert served.rest is None


@pytest.mark.parametrize(
    ("filter_", "sort", "wanted"),
    [
        ({"data.a": 1}, "", [("data.a",)]),
        ({"data.b": {"$gt": 1}, "data.a": 1}, "", [("data.a", "data.b")]),
        ({"data.b": {"$gt": 1}, "data.a": 1}, "-data.c", [("data.a", "-data.c")]),
        ({"$or": [{"data.a": 1}, {"data.b": 2}]}, "", [("data.a",), ("data.b",)]),
        ({"data.a": {"$ne": 1}}, "", []),
        (None, "-created_at,id", [("-created_at",)]),
    ],
)
def test_an_index_is_suggested_that_would_serve(
    filter_: Any, sort: str, wanted: list[tuple[str, ...]]
) -> None:
    order = tuple(ordered(one) for one in sort.split(",")) if sort else ()
    tree = None if filter_ is None else parse_filter(filter_)
    suggested = suggestion(tree, order)
    assert suggested == [IndexSettings(one) for one in wanted]
    if suggested:
        assert plan(tree, order, [index_of(one) for one in suggested]).is_served
