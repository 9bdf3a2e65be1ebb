"""Aggregations as one statement of SQL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Literal

from penstock.adapters.embedded.filters import expression, json_path
from penstock.adapters.embedded.scans import Stretch
from penstock.records.aggregate import Aggregation, Function, Group, GroupKey, Measure
from penstock.records.field import Field

PERCENTILE: Final = "percentile_by_rank"


class PercentileByRank:
    """An aggregate function of SQL: the value at a percentile, by nearest rank."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._percent = 0.0

    def step(self, *given: Any) -> None:
        value, self._percent = given
        if value is not None:
            self._values.append(value)

    def final(self) -> float | None:
        if not self._values:
            return None
        rank = math.ceil(self._percent / 100 * len(self._values))
        return sorted(self._values)[rank - 1]


def statement(
    table: str,
    parts: Sequence[Stretch],
    wanted: Aggregation,
    sums: Literal["sum", "total"] = "sum",
) -> tuple[str, tuple[Any, ...]]:
    """The statement and what it is given.

    Args:
        table: of the records.
        parts: where they are, none of them twice.
        wanted: the groups.
        sums: `total` adds up as doubles: for sums that no 64-bit integer holds.
    """
    records = " UNION ALL ".join(
        f"SELECT {table}.* FROM {form.source} WHERE {form.held}" for form, _ in parts
    )
    keys = [_key(one) for one in wanted.keys]
    measures = [_measure(one, sums) for one in wanted.measures]
    columns = ", ".join(f"{sql} AS c{place}" for place, sql in enumerate((*keys, *measures)))
    sql = f"SELECT {columns} FROM ({records})"
    if keys:
        sql += f" GROUP BY {', '.join(str(place + 1) for place in range(len(keys)))}"
    order = [f"c{place}{' DESC' if descending else ''}" for place, descending in wanted.sort]
    # Groups that are equal in that come in the order of their keys.
    order += [f"c{place}" for place in range(len(keys))]
    if order:
        sql += f" ORDER BY {', '.join(order)}"
    bindings = tuple(value for one in parts for value in one.bindings)
    return f"{sql} LIMIT ?", (*bindings, wanted.limit)


def group_of(wanted: Aggregation, row: Sequence[Any]) -> Group:
    values = [value == b"\x01" if isinstance(value, bytes) else value for value in row]
    return Group(tuple(values[: len(wanted.keys)]), tuple(values[len(wanted.keys) :]))


def _key(key: GroupKey) -> str:
    value = _scalar(key.field)
    if not key.bucket_ms:
        return value
    if key.field.path:
        value = (
            f"CASE WHEN {value} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T*'"
            f" THEN CAST(round(unixepoch({value}, 'subsec') * 1000) AS INTEGER) END"
        )
    length = key.bucket_ms
    return f"({value}) - ((({value}) % {length}) + {length}) % {length}"


def _measure(measure: Measure, sums: str) -> str:
    if measure.field is None:
        return "count(*)"
    match measure.function:
        case Function.SUM:
            return f"ifnull({sums}({_number(measure.field)}), 0)"
        case Function.AVERAGE:
            return f"avg({_number(measure.field)})"
        case Function.PERCENTILE:
            return f"{PERCENTILE}({_number(measure.field)}, {measure.percent})"
        case _:
            return f"{measure.function.value}({_scalar(measure.field)})"


def _scalar(field: Field) -> str:
    """The value of a field; NULL for objects, arrays and what is not there."""
    if not field.path:
        return field.text
    path = json_path(field)
    return (
        f"CASE json_type(data, {path}) WHEN 'true' THEN x'01' WHEN 'false' THEN x'00'"
        f" WHEN 'object' THEN NULL WHEN 'array' THEN NULL ELSE json_extract(data, {path}) END"
    )


def _number(field: Field) -> str:
    if not field.path:
        return expression(field)
    path = json_path(field)
    return (
        f"CASE WHEN json_type(data, {path}) IN ('integer', 'real')"
        f" THEN json_extract(data, {path}) END"
    )
