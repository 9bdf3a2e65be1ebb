"""Filters and indexes as SQL on the canonical JSON of a record.

A field's value is one expression whose order in SQLite is the order of `records.index`: what is
null or not there is the least number, false and true are blobs of one byte, which SQLite sorts
behind text. Indexes are made on that expression, and comparisons use it where they can.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from penstock.records.field import Field, Scalar
from penstock.records.filter import (
    All,
    Comparison,
    Either,
    Filter,
    Not,
    Operator,
    after_prefix,
)

_LEAST: Final = "-9e999"
_COMPARED: Final = {
    Operator.EQ: "=",
    Operator.GT: ">",
    Operator.GTE: ">=",
    Operator.LT: "<",
    Operator.LTE: "<=",
}
_ALWAYS: Final = "octet_length(data) >= 0"
_NEVER: Final = "octet_length(data) < 0"
"""Not 1 and 0: where SQLite sees beforehand that nothing can be found, it does not find a use for
the index that it is told to take, and says that there is no solution."""
_UPWARDS: Final = (Operator.GT, Operator.GTE)
_TRUE, _FALSE = b"\x01", b"\x00"


class Condition(NamedTuple):
    """An expression, and what its question marks stand for."""

    sql: str
    bindings: tuple[Any, ...] = ()


def expression(field: Field) -> str:
    """The value of a field, in its order. Names have no quote in them: see `records.field`."""
    if not field.path:
        return field.text
    path = json_path(field)
    return (
        f"CASE json_type(data, {path}) WHEN 'true' THEN x'01' WHEN 'false' THEN x'00'"
        " WHEN 'object' THEN x'02' WHEN 'array' THEN x'03'"
        f" ELSE ifnull(json_extract(data, {path}), {_LEAST}) END"
    )


def bound(value: Scalar) -> Any:
    """A scalar as what `expression` has for it."""
    if value is None:
        return float("-inf")
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    return value


def condition(filter_: Filter) -> Condition:
    """Where a filter holds; never NULL."""
    match filter_:
        case Comparison(field, operator, value):
            return _comparison(field, operator, value)
        case All(parts):
            return _joined("AND", parts, _ALWAYS)
        case Either(parts):
            return _joined("OR", parts, _NEVER)
        case Not(part):
            inner = condition(part)
            return Condition(f"NOT ({inner.sql})", inner.bindings)


def _joined(word: str, parts: tuple[Filter, ...], none: str) -> Condition:
    if not parts:
        return Condition(none)
    inner = [condition(one) for one in parts]
    sql = f" {word} ".join(f"({one.sql})" for one in inner)
    return Condition(sql, tuple(value for one in inner for value in one.bindings))


def _comparison(field: Field, operator: Operator, value: Any) -> Condition:
    if not field.path:
        return _compared(field.text, operator, value)
    if operator is Operator.EXISTS:
        return Condition(_some(field, None))
    if operator is Operator.IN:
        return _joined("OR", tuple(Comparison(field, Operator.EQ, one) for one in value), _NEVER)
    if operator is Operator.EQ and value is None:
        null = _some(field, "leaf.type = 'null'")
        return Condition(f"{null} OR NOT {_some(field, None)}")
    # Most records have no array at all, and are spared the search through it.
    plain = _compared(expression(field), operator, value)
    elements = _compared(ATOM, operator, value)
    return Condition(
        f"CASE WHEN instr(data, '[') THEN {_some(field, elements.sql)} ELSE {plain.sql} END",
        (*elements.bindings, *plain.bindings),
    )


ATOM: Final = (
    "CASE leaf.type WHEN 'true' THEN x'01' WHEN 'false' THEN x'00' WHEN 'object' THEN x'02'"
    f" WHEN 'array' THEN x'03' ELSE ifnull(leaf.atom, {_LEAST}) END"
)


def _compared(sql: str, operator: Operator, value: Any) -> Condition:
    """An expression against a value of the same type."""
    if operator is Operator.IN and not value:
        return Condition(_NEVER)
    if operator is Operator.IN:
        marks = ", ".join("?" * len(value))
        return Condition(f"({sql}) IN ({marks})", tuple(map(bound, value)))
    if operator is Operator.PREFIX:
        end = after_prefix(value)
        upper = Condition(f"({sql}) < x''") if end is None else Condition(f"({sql}) < ?", (end,))
        return Condition(f"(({sql}) >= ? AND {upper.sql})", (value, *upper.bindings))
    one = Condition(f"({sql}) {_COMPARED[operator]} ?", (bound(value),))
    if operator is Operator.EQ:
        return one
    # Numbers end where text begins, and text where blobs do.
    if operator in _UPWARDS:
        edge = "< x''" if isinstance(value, str) else "< ''"
    else:
        edge = ">= ''" if isinstance(value, str) else f"> {_LEAST}"
    return Condition(f"({one.sql} AND ({sql}) {edge})", one.bindings)


def _some(field: Field, sql: str | None) -> str:
    """Whether some value of the field holds; without a condition, whether anything stands there.

    Each name is looked up in an object, and an array that is found stands for its elements.
    """
    names = field.path
    sources, document = [], "data"
    for place, name in enumerate(names[:-1]):
        sources.append(f"json_each({_each(document, name, place)}) AS step{place}")
        document = f"step{place}.value"
    last = len(names) - 1
    if sql is None:
        found = f"json_type({document}, {_quoted(names[-1])}) IS NOT NULL"
        if not sources:
            return f"({found})"
        # An AND would not keep json_type from text that is no JSON; a CASE does.
        guarded = f"CASE step{last - 1}.type WHEN 'object' THEN {found} ELSE 0 END"
        return f"EXISTS(SELECT 1 FROM {', '.join(sources)} WHERE {guarded})"
    sources.append(f"json_each({_each(document, names[-1], last)}) AS leaf")
    return f"EXISTS(SELECT 1 FROM {', '.join(sources)} WHERE {sql})"


def each_element(document: str, field: Field) -> str:
    """An array of what stands in a field that is behind no array: its elements, or itself."""
    path = json_path(field)
    return (
        f"CASE json_type({document}, {path}) WHEN 'array' THEN {document} -> {path}"
        f" ELSE iif(json_type({document}, {path}) IS NULL, '[]',"
        f" json_array(json({document} -> {path}))) END"
    )


def _each(document: str, name: str, place: int) -> str:
    """An array of what stands under a name: its elements, or itself."""
    found = each_element(document, Field("", (name,)))
    if place == 0:
        return found
    return f"CASE step{place - 1}.type WHEN 'object' THEN {found} ELSE '[]' END"


def json_path(field: Field) -> str:
    """The path of a field of data, as SQLite's functions take it."""
    steps = "".join(f'."{name}"' for name in field.path)
    return _literal(f"${steps}")


def _quoted(name: str) -> str:
    return _literal(f'$."{name}"')


def _literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
