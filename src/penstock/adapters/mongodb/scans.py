"""Scans of an index, range by range, by the index's own bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson.datetime_ms import DatetimeMS

from penstock.adapters.mongodb.connection import Document
from penstock.adapters.mongodb.filters import condition, high, low, pattern
from penstock.records.index import BY_ID, Key, Range
from penstock.records.scan import Scan

_BY_ID: Final = "_id"


def existing(now: int) -> Document:
    """What a reader at `now` (ms since 1970) sees; indexes hold what has data only."""
    return {"data": {"$exists": True}, "expires_at": {"$not": {"$lte": DatetimeMS(now)}}}


def found_in(scan: Scan, one: Range, now: int) -> tuple[Document, Mapping[str, Any]]:
    """The query for one range of a scan, and the options with which it is asked.

    A query cannot say where in an index of several fields to begin; its `min` and `max` can.
    """
    wanted = [existing(now), condition(scan.filter)]
    keys = pattern(scan.index)
    turned = -1 if scan.reverse else 1
    options: dict[str, Any] = {"sort": [(name, way * turned) for name, way in keys]}
    if scan.index == BY_ID:
        return {"$and": [*wanted, _ids(one.low.values, one.high.values, one)]}, options
    if scan.index.is_array:
        # Its bounds give no order, for a record has several keys; what equals one value is by id.
        (name, _), by_id = keys
        wanted += [{name: one.low.values[0]}, _ids(one.low.values[1:], one.high.values[1:], one)]
        return {"$and": wanted}, {"hint": keys, "sort": [(by_id[0], turned)]}
    order = scan.index.order
    options["hint"] = keys
    first, last = low(order, one.low), high(order, one.high)
    if first is not None:
        options["min"] = dict(first)
    if last is not None:
        options["max"] = dict(last)
    if one.low.is_open and len(one.low.values) == len(order):
        # The bound itself is within: no other record has its id.
        wanted.append({_BY_ID: {"$ne": one.low.values[-1]}})
    return {"$and": wanted}, options


def _ids(low: Key, high: Key, one: Range) -> Document:
    bounds: Document = {}
    # All ids are text; what is none stands for an end of all text.
    if low and isinstance(low[0], str):
        bounds["$gt" if one.low.is_open else "$gte"] = low[0]
    if high and isinstance(high[0], str):
        bounds["$lt" if one.high.is_open else "$lte"] = high[0]
    return {_BY_ID: bounds} if bounds else {}
