"""What a filter, a sort and a projection mean, in plain Python on the JSON that a client sends."""

from __future__ import annotations

from typing import Any

MISSING = object()


def matches(document: dict[str, Any], filter_: dict[str, Any]) -> bool:
    """Whether a record's data is found; fields are `data.<path>`."""
    return all(_member(document, name, value) for name, value in filter_.items())


def _member(document: dict[str, Any], name: str, value: Any) -> bool:
    if name == "$and":
        return all(matches(document, one) for one in value)
    if name == "$or":
        return any(matches(document, one) for one in value)
    if name == "$not":
        return not matches(document, value)
    reached = list(reach(document, name.split(".")[1:]))
    return _conditions(reached, value)


def _conditions(reached: list[Any], value: Any) -> bool:
    if not isinstance(value, dict):
        return _holds(reached, "$eq", value)
    return all(_holds(reached, operator, operand) for operator, operand in value.items())


def reach(value: Any, path: list[str]) -> Any:
    """Everything that stands at the end of a path, arrays on the way taken apart."""
    if not path:
        yield value
        return
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and path[0] in one:
            yield from reach(one[path[0]], path[1:])


def _elements(reached: list[Any]) -> Any:
    for one in reached:
        yield from one if isinstance(one, list) else [one]


def _holds(reached: list[Any], operator: str, operand: Any) -> bool:
    values = list(_elements(reached))
    match operator:
        case "$not":
            found = not _conditions(reached, operand)
        case "$exists":
            found = bool(reached) is operand
        case "$eq":
            nothing = operand is None and not reached
            found = nothing or any(_same(one, operand) for one in values)
        case "$ne":
            found = not _holds(reached, "$eq", operand)
        case "$in":
            found = any(_holds(reached, "$eq", one) for one in operand)
        case "$nin":
            found = not _holds(reached, "$in", operand)
        case "$prefix":
            found = any(isinstance(one, str) and one.startswith(operand) for one in values)
        case _:
            found = any(_ordered(operator, one, operand) for one in values)
    return found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _same(one: Any, other: Any) -> bool:
    return _kind(one) == _kind(other) and bool(one == other)


def _ordered(operator: str, one: Any, other: Any) -> bool:
    if _kind(one) != _kind(other) or _kind(one) not in ("number", "str"):
        return False
    return bool(
        {"$gt": one > other, "$gte": one >= other, "$lt": one < other, "$lte": one <= other}[
            operator
        ]
    )


def sort_key(value: Any) -> tuple[int, Any]:
    """A value's place in a sort."""
    if value is None or value is MISSING:
        return 0, 0
    if isinstance(value, bool):
        return 3, value
    return (1, value) if isinstance(value, int | float) else (2, value)


def plain(document: Any, field: str) -> Any:
    """A field of a document without arrays."""
    for name in field.split(".")[1:]:
        if not isinstance(document, dict) or name not in document:
            return MISSING
        document = document[name]
    return document
