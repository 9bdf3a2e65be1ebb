"""An aggregation between its JSON and what the store is asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from penstock.api.messages_search import AggregateRecords, Bucket, GroupView
from penstock.errors import Fault, Malformed
from penstock.records.aggregate import Aggregation, Function, Group, GroupKey, Measure
from penstock.records.collection import milliseconds
from penstock.records.field import ID, field
from penstock.records.record import timestamp

_MOST_KEYS: Final = 4
_PERCENTILE: Final = re.compile(r"p([1-9][0-9]?(?:\.[0-9])?)")
_FUNCTIONS: Final = {
    one.value: one for one in (Function.SUM, Function.AVERAGE, Function.MIN, Function.MAX)
}
_MOST_MEASURES: Final = 20
_MOST_GROUPS: Final = 10_000


def aggregation(given: AggregateRecords) -> Aggregation:
    """What is asked for. Raises `Malformed` (`invalid_body`) with a pointer."""
    if len(given.group_by) > _MOST_KEYS or len(given.measures) > _MOST_MEASURES:
        raise _bad("", f"At most {_MOST_KEYS} keys and {_MOST_MEASURES} measures.")
    if not given.measures:
        raise _bad("/measures", "At least one measure.")
    if not 1 <= given.limit <= _MOST_GROUPS:
        raise _bad("/limit", f"The limit is 1 to {_MOST_GROUPS}.")
    keys = tuple(_key(one, f"/group_by/{place}") for place, one in enumerate(given.group_by))
    names = [*_names(given), *given.measures]
    if len(set(names)) < len(names):
        raise _bad("/group_by", "A name stands twice among the keys and measures.")
    measures = tuple(_measure(one, f"/measures/{name}") for name, one in given.measures.items())
    sort = []
    for place, text in enumerate(given.sort):
        name = text.removeprefix("-")
        if name not in names:
            raise _bad(f"/sort/{place}", "Groups are sorted by their keys and measures.")
        sort.append((names.index(name), text.startswith("-")))
    return Aggregation(keys, measures, tuple(sort), given.limit)


def group_views(
    given: AggregateRecords, wanted: Aggregation, groups: Sequence[Group]
) -> list[GroupView]:
    """The groups as they are sent."""
    names = _names(given)
    return [
        GroupView(
            {
                name: _value(key, value)
                for name, key, value in zip(names, wanted.keys, group.keys, strict=True)
            },
            {
                name: _figure(measure, value)
                for name, measure, value in zip(
                    given.measures, wanted.measures, group.measures, strict=True
                )
            },
        )
        for group in groups
    ]


def _names(given: AggregateRecords) -> list[str]:
    return [one if isinstance(one, str) else one.field for one in given.group_by]


def _key(given: str | Bucket, pointer: str) -> GroupKey:
    try:
        if isinstance(given, str):
            return GroupKey(field(given))
        named = field(given.field)
        length = milliseconds(given.every)
    except ValueError as error:
        raise _bad(pointer, str(error)) from None
    if named == ID:
        raise _bad(pointer, "The id is no time.")
    return GroupKey(named, length)


def _measure(given: str | dict[str, str], pointer: str) -> Measure:
    if isinstance(given, str):
        if given != Function.COUNT.value:
            raise _bad(pointer, 'A measure is "count" or {"average": "data.level"}.')
        return Measure(Function.COUNT)
    if len(given) != 1:
        raise _bad(pointer, "A measure is one function of one field.")
    ((name, of),) = given.items()
    percentile = _PERCENTILE.fullmatch(name)
    try:
        named = field(of)
    except ValueError as error:
        raise _bad(pointer, str(error)) from None
    function = Function.PERCENTILE if percentile else _FUNCTIONS.get(name)
    if function is None or named == ID:
        raise _bad(pointer, f"A function is p1 to p99.9 or one of {', '.join(_FUNCTIONS)}.")
    if named.is_time and function not in (Function.MIN, Function.MAX):
        raise _bad(pointer, "Of times there is a min and a max only.")
    return Measure(function, named, float(percentile[1]) if percentile else 0.0)


def _value(key: GroupKey, value: Any) -> Any:
    is_time = key.bucket_ms or key.field.is_time
    return timestamp(value) if is_time and value is not None else _number(value)


def _figure(measure: Measure, value: Any) -> Any:
    if measure.field is not None and measure.field.is_time and value is not None:
        return timestamp(value)
    return _number(value)


def _number(value: Any) -> Any:
    """The same number is the same JSON, whatever the engine has made of it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _bad(pointer: str, detail: str) -> Malformed:
    return Malformed("invalid_body", detail, faults=(Fault(pointer, detail),))
