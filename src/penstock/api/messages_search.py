"""The JSON of searching, as `messages` has that of the rest."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from penstock.api.messages import Problem, Record


class CountView(msgspec.Struct, frozen=True):
    """How many records; an estimate counts tombstones too, and what is at least so many more."""

    value: int
    kind: Literal["exact", "estimated", "at_least"]


class RecordPage(msgspec.Struct, frozen=True):
    """One page. Without `next_page_token`, it is the last."""

    records: list[Record]
    next_page_token: str | UnsetType = UNSET
    previous_page_token: str | UnsetType = UNSET
    count: CountView | UnsetType = UNSET


class QueryRecords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search. `sort` is fields, comma-separated, a minus for descending."""

    filter: dict[str, Any] | UnsetType = UNSET
    sort: str | None = None
    fields: list[str] | None = None
    page_size: int | None = None
    page_token: str | None = None
    count: Literal["none", "estimated", "exact"] = "none"
    allow_scan: bool = False


class Bucket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stretches of time: `every` is a duration such as `1h` or `1d`, counted from 1970, UTC."""

    field: str
    every: str


class AggregateRecords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Groups, and what is worked out over each.

    A measure is `"count"`, or an object of one function (`sum`, `average`, `min`, `max`, or a
    percentile such as `p99.9`) and the field that it is of.
    Groups are sorted by keys and measures, a minus for descending.
    """

    measures: dict[str, str | dict[str, str]]
    group_by: list[str | Bucket] = []
    filter: dict[str, Any] | UnsetType = UNSET
    sort: list[str] = []
    limit: int = 1000
    allow_scan: bool = False


class GroupView(msgspec.Struct, frozen=True):
    """One group: the values of its keys, and its measures."""

    keys: dict[str, Any]
    measures: dict[str, Any]


class GroupList(msgspec.Struct, frozen=True):
    """The groups."""

    groups: list[GroupView]


class ExportDone(msgspec.Struct, frozen=True):
    """The last line of an export: so many records came before it, and there are no more."""

    count: int
    done: Literal[True] = True


class ExportFailed(msgspec.Struct, frozen=True):
    """The last line of an export that could not go on; `after` the last id it does."""

    count: int
    problem: Problem
    done: Literal[False] = False
