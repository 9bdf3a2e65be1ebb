"""Scans of an index, range by range: each range as a few stretches with one open column.

SQLite bounds one column of an index by an inequality, behind columns that are equal to something.
What lies between two keys of several columns is a few such stretches, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from penstock.adapters.embedded.filters import Condition, bound, condition, expression
from penstock.records.field import Scalar
from penstock.records.index import BY_ID, End, Index, Ordered, Range
from penstock.records.scan import Scan


class _Keys(NamedTuple):
    """Keys with `values` in the first columns, and the next one between two ends."""

    values: tuple[Scalar, ...]
    low: End | None = None
    high: End | None = None


_Kind = Literal["", " ?", "= ?"]
"""Of an end: what follows `<` or `>` in its condition; nothing where there is no end. No `Enum`: of
one, Python works out the hash anew whenever a form is looked for."""

_TEXTS: Final = 1_024
"""Forms that are kept, of some hundreds of characters each."""
ELEMENT: Final = "element"
"""The column of an array index, which is a table of its own."""


def index_name(table: str, index: Index) -> str:
    """What an index is called; one of arrays is a table of its elements."""
    return f"{elements_of(table) if index.is_array else table}_{index.name}"


def elements_of(table: str) -> str:
    """How the tables of elements begin that belong to a table of records."""
    return table.replace("records", "elements", 1)


class Form(NamedTuple):
    """The text of a stretch: `SELECT … FROM source WHERE held ORDER BY order`."""

    source: str
    held: str
    order: str


class Stretch(NamedTuple):
    """A part of a scan: its text, which many have in common, and what it is given."""

    form: Form
    bindings: tuple[Any, ...]


def stretches(table: str, scan: Scan, now: int) -> Iterator[Stretch]:
    """The parts of a scan, in its order, of what exists at `now` (ms since 1970)."""
    residual = Condition("1") if scan.filter is None else condition(scan.filter)
    turned = -1 if scan.reverse else 1
    for one in scan.ranges[::turned]:
        for values, low, high in list(_stretches(one))[::turned]:
            bindings = [bound(value) for value in values]
            bindings += [bound(end.values[0]) for end in (low, high) if end is not None]
            kinds = _kind(low), _kind(high)
            form = _form(table, scan.index, len(values), *kinds, residual.sql, scan.reverse)
            yield Stretch(form, (*bindings, now, *residual.bindings))


@lru_cache(_TEXTS)
def _form(
    table: str,
    index: Index,
    fixed: int,
    low: _Kind,
    high: _Kind,
    residual: str,
    reverse: bool,  # noqa: FBT001  # what is kept is found by it, which is dearer by name
) -> Form:
    """The text where so many columns are fixed, and the next one has these ends."""
    source = table
    if index.is_array:
        source = f"{index_name(table, index)} CROSS JOIN {table} USING (id)"
    elif index != BY_ID:
        source = f"{table} INDEXED BY {index_name(table, index)}"
    held = f"{_lying(index, fixed, low, high)} AND (expires_at IS NULL OR expires_at > ?)"
    return Form(source, f"{held} AND ({residual})", _sorting(index, fixed, reverse=reverse))


def _column(index: Index, one: Ordered) -> str:
    return ELEMENT if index.is_array and one.field.path else f"({expression(one.field)})"


def _kind(end: End | None) -> _Kind:
    if end is None:
        return ""
    return " ?" if end.is_open else "= ?"


def _lying(index: Index, fixed: int, low: _Kind, high: _Kind) -> str:
    """The condition of so many fixed columns, and of the next one's ends."""
    parts = ["data IS NOT NULL"]
    parts += [f"{_column(index, one)} = ?" for one in index.order[:fixed]]
    for end, first in ((low, True), (high, False)):
        if end:
            column = index.order[fixed]
            sign = ">" if first is not column.descending else "<"
            parts.append(f"{_column(index, column)} {sign}{end}")
    return " AND ".join(parts)


def _sorting(index: Index, fixed: int, *, reverse: bool) -> str:
    """The order of the columns behind so many that are fixed.

    Named in it, an expression that equals something would have SQLite sort all that there is.
    """
    behind = index.order[min(fixed, len(index.order) - 1) :]
    return ", ".join(
        f"{_column(index, one)} {'DESC' if one.descending is not reverse else 'ASC'}"
        for one in behind
    )


def _stretches(one: Range) -> Iterator[_Keys]:
    """The stretches of a range, in the index's order."""
    low, high = one
    shared = 0
    while shared < min(len(low.values), len(high.values)) and bound(low.values[shared]) == bound(
        high.values[shared]
    ):
        shared += 1
    ends_low, ends_high = len(low.values) == shared, len(high.values) == shared
    if (ends_low and low.is_open and low.values) or (ends_high and high.is_open and high.values):
        return
    if ends_low and ends_high:
        yield _Keys(low.values)
        return
    if not ends_low:
        yield from _behind(low, shared + 1)
    yield _between(low, high, shared)
    if not ends_high:
        yield from _before(high, shared + 1)


def _between(low: End, high: End, shared: int) -> _Keys:
    """Where the two ends part: what has neither's value there, unless it is its last."""
    return _Keys(
        (low.values if len(low.values) > shared else high.values)[:shared],
        _edge(low, shared),
        _edge(high, shared),
    )


def _edge(end: End, place: int) -> End | None:
    if len(end.values) <= place:
        return None
    is_last = len(end.values) == place + 1
    return End((end.values[place],), is_open=end.is_open if is_last else True)


def _behind(low: End, start: int) -> Iterator[_Keys]:
    """From `low` to the last key with its first `start` values, the innermost first."""
    for place in range(len(low.values) - 1, start - 1, -1):
        yield _Keys(low.values[:place], low=_edge(low, place))


def _before(high: End, start: int) -> Iterator[_Keys]:
    for place in range(start, len(high.values)):
        yield _Keys(high.values[:place], high=_edge(high, place))
