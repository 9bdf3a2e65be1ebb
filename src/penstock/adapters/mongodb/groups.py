"""Aggregations as a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bson.datetime_ms import DatetimeMS

from penstock.adapters.mongodb.connection import Document
from penstock.adapters.mongodb.filters import condition, path
from penstock.adapters.mongodb.scans import existing
from penstock.records.aggregate import Aggregation, Function, Group, GroupKey, Measure
from penstock.records.field import Field
from penstock.records.filter import Filter

_TEXT: Final = "string"
_NUMBERS: Final = ["int", "long", "double"]
_SCALARS: Final = [*_NUMBERS, _TEXT, "bool", "date"]
_DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T"
_OPERATORS: Final = {
    Function.SUM: "$sum",
    Function.AVERAGE: "$avg",
    Function.MIN: "$min",
    Function.MAX: "$max",
}


def pipeline(filter_: Filter | None, wanted: Aggregation, now: int) -> list[Document]:
    """The stages; MongoDB chooses the indexes itself."""
    found = {"$and": [existing(now), condition(filter_)]}
    keys = {f"k{place}": _key(one) for place, one in enumerate(wanted.keys)}
    measures = {f"m{place}": _measure(one) for place, one in enumerate(wanted.measures)}
    names = [*(f"_id.{name}" for name in keys), *measures]
    order = {names[place]: -1 if descending else 1 for place, descending in wanted.sort}
    # Groups that are equal in that come in the order of their keys.
    order |= {name: 1 for name in names[: len(keys)] if name not in order}
    ranked = {
        f"m{place}": _at_rank(f"$m{place}", one.percent)
        for place, one in enumerate(wanted.measures)
        if one.function is Function.PERCENTILE
    }
    return [
        {"$match": found},
        {"$group": {"_id": keys or None, **measures}},
        *([{"$set": ranked}] if ranked else []),
        *([{"$sort": order}] if order else []),
        {"$limit": wanted.limit},
    ]


def group_of(wanted: Aggregation, document: Document) -> Group:
    found = document["_id"] or {}
    keys = tuple(_plain(found.get(f"k{place}")) for place in range(len(wanted.keys)))
    measures = tuple(_plain(document[f"m{place}"]) for place in range(len(wanted.measures)))
    return Group(keys, measures)


def _plain(value: Any) -> Any:
    if isinstance(value, DatetimeMS):
        return int(value)
    # The driver reads a 64-bit integer as a subclass of `int`.
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _key(key: GroupKey) -> Any:
    if not key.bucket_ms:
        return _only(key.field, _SCALARS)
    value: Any = f"${path(key.field)}"
    if key.field.path:
        text = _only(key.field, [_TEXT])
        value = {
            "$cond": [
                {"$regexMatch": {"input": text, "regex": _DATE}},
                {"$dateFromString": {"dateString": text, "onError": None, "onNull": None}},
                None,
            ]
        }
    length = key.bucket_ms
    return {
        "$let": {
            "vars": {"ms": {"$toLong": value}},
            "in": {
                "$subtract": [
                    "$$ms",
                    {"$mod": [{"$add": [{"$mod": ["$$ms", length]}, length]}, length]},
                ]
            },
        }
    }


def _measure(measure: Measure) -> Any:
    if measure.field is None:
        return {"$sum": 1}
    if measure.function is Function.PERCENTILE:
        # An array of all its numbers: MongoDB has percentiles of its own from 7.0 on only.
        number = {"$in": [{"$type": f"${path(measure.field)}"}, _NUMBERS]}
        return {"$push": {"$cond": [number, f"${path(measure.field)}", "$$REMOVE"]}}
    operator = _OPERATORS[measure.function]
    if measure.function in (Function.SUM, Function.AVERAGE):
        return {operator: _only(measure.field, _NUMBERS)}
    return {operator: _only(measure.field, _SCALARS)}


def _at_rank(values: str, percent: float) -> Document:
    """The value at a percentile of an array, by nearest rank; null where it is empty."""
    rank = {"$toInt": {"$ceil": {"$multiply": [percent / 100, {"$size": values}]}}}
    ordered = {"$sortArray": {"input": values, "sortBy": 1}}
    at_rank = {"$arrayElemAt": [ordered, {"$subtract": [rank, 1]}]}
    return {"$cond": [{"$eq": [{"$size": values}, 0]}, None, at_rank]}


def _only(field: Field, types: Sequence[str]) -> Any:
    """The value of a field where it is of these types; null for anything else."""
    value = f"${path(field)}"
    return {"$cond": [{"$in": [{"$type": value}, list(types)]}, value, None]}
