"""Filters and keys of indexes as MongoDB takes them; names and operators are all our own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from bson.datetime_ms import DatetimeMS
from bson.max_key import MaxKey
from bson.min_key import MinKey

from penstock.adapters.mongodb.connection import Document
from penstock.adapters.mongodb.names import stored_name
from penstock.records.field import Field, Scalar
from penstock.records.filter import All, Comparison, Either, Filter, Not, Operator
from penstock.records.index import End, Index, Ordered

_NULL: Final = 10


def path(field: Field) -> str:
    """Where a field stands in a document."""
    if field.path:
        return ".".join(("data", *map(stored_name, field.path)))
    return "_id" if field.text == "id" else field.text


def value_of(field: Field, value: Scalar) -> Any:
    return DatetimeMS(value) if field.is_time and isinstance(value, int) else value


def condition(filter_: Filter | None) -> Document:
    """The query that finds what a filter holds for."""
    match filter_:
        case None:
            return {}
        case Comparison(field, operator, value):
            return _comparison(field, operator, value)
        case All(parts):
            return {"$and": [condition(one) for one in parts]} if parts else {}
        case Either(parts):
            return {"$or": [condition(one) for one in parts]}
        case Not(part):
            return {"$nor": [condition(part)]}


def _comparison(field: Field, operator: Operator, value: Any) -> Document:
    there = path(field)
    if operator is Operator.IN:
        if None in value or not value:
            # An empty list of alternatives is refused; an empty $in finds nothing.
            parts = [_comparison(field, Operator.EQ, one) for one in value]
            return {"$or": parts} if parts else {there: {"$in": []}}
        return {there: {"$in": [value_of(field, one) for one in value]}}
    if operator is Operator.EQ and value is None:
        # Its own `null` is also found in an object behind an array that lacks the name.
        return {"$or": [{there: {"$type": _NULL}}, {there: {"$exists": False}}]}
    if operator is Operator.PREFIX:
        return {there: {"$regex": "^" + re.escape(value)}}
    return {there: {operator.value: value_of(field, value)}}


def pattern(index: Index) -> list[tuple[str, int]]:
    """The keys of an index, for making it and for naming it."""
    return [(path(one.field), -1 if one.descending else 1) for one in index.order]


def low(order: Sequence[Ordered], end: End) -> list[tuple[str, Any]] | None:
    """The first key of a range, with it; None for the very first."""
    return _bound(order, end, is_first=not end.is_open) if end.values or end.is_open else None


def high(order: Sequence[Ordered], end: End) -> list[tuple[str, Any]] | None:
    """The last key of a range, without it; None for the very last."""
    return _bound(order, end, is_first=end.is_open) if end.values or end.is_open else None


def _bound(order: Sequence[Ordered], end: End, *, is_first: bool) -> list[tuple[str, Any]]:
    """A whole key that comes before, or after, all that begin with some values."""
    given = [
        (path(one.field), value_of(one.field, value))
        for one, value in zip(order, end.values, strict=False)
    ]
    fill = [
        (path(one.field), MinKey() if is_first is not one.descending else MaxKey())
        for one in order[len(given) :]
    ]
    return given + fill
