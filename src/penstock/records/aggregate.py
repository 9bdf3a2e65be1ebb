"""Aggregations: groups of records, and what is worked out over each."""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

import msgspec

from penstock.records.field import Field, Scalar


class Function(Enum):
    """What is worked out. MIN and MAX are over all that has an order, the others over numbers.

    A percentile is by nearest rank: the least value that so many percent of all are not above.
    """

    COUNT = "count"
    SUM = "sum"
    AVERAGE = "average"
    MIN = "min"
    MAX = "max"
    PERCENTILE = "percentile"


class GroupKey(NamedTuple):
    """What records are grouped by: a field's value, or the stretch of time that it lies in.

    Attributes:
        field: of text, numbers, true and false; anything else is null.
        bucket_ms: the length of the stretches, counted from 1970; 0 for the value itself. For a
            field of data, its value is an RFC 3339 date-time in UTC as text.
    """

    field: Field
    bucket_ms: int = 0


class Measure(NamedTuple):
    """A function over a field; COUNT has none. `percent` is for PERCENTILE, above 0, up to 100."""

    function: Function
    field: Field | None = None
    percent: float = 0.0


class Aggregation(msgspec.Struct, frozen=True):
    """What is asked for: groups by keys, each with measures.

    Attributes:
        keys: none for one group of everything.
        measures: by name.
        sort: places in keys and then measures, and whether descending.
        limit: groups, at most.
    """

    keys: tuple[GroupKey, ...]
    measures: tuple[Measure, ...]
    sort: tuple[tuple[int, bool], ...] = ()
    limit: int = 1000


class Group(NamedTuple):
    """One group: its keys' values (times in ms) and its measures'; None where there were none."""

    keys: tuple[Scalar, ...]
    measures: tuple[Any, ...]
