"""What a conjunction of comparisons says about the keys of an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Final, NamedTuple

import msgspec

from penstock.records.field import Field, Scalar
from penstock.records.filter import All, Comparison, Filter, Not, Operator, after_prefix
from penstock.records.index import End, Index, Key, Ordered, Range, is_empty, ranks

_MOST_PREFIXES: Final = 100
_LOWER: Final = (Operator.GT, Operator.GTE, Operator.PREFIX)
_UPPER: Final = (Operator.LT, Operator.LTE, Operator.PREFIX)
_FIRST_TEXT: Final = ""
_ABOVE_TEXT: Final = False
"""False is the least value above all text; the empty text, above all numbers."""

Branch = tuple[Filter, ...]
"""Filters that must all hold."""


class Stream(msgspec.Struct, frozen=True):
    """Records in the order of one index.

    Attributes:
        index: which.
        prefix: values that the first fields have in all of its keys.
        ranges: in the index's order.
        rest: what the ranges do not make sure of.
    """

    index: Index
    prefix: Key
    ranges: tuple[Range, ...]
    rest: Filter | None


class Use(NamedTuple):
    """What an index can do for a branch.

    Attributes:
        points: for each of the first fields, the values that it equals one of.
        interval: of the next field, in its own order; None where nothing is said of it.
        used: the filters that follow from these.
    """

    points: tuple[tuple[Scalar, ...], ...]
    interval: Range | None
    used: frozenset[int]

    @property
    def score(self) -> int:
        """How much of the index it bounds."""
        return 2 * len(self.points) + (self.interval is not None)


def use_of(index: Index, branch: Branch, most_points: int) -> Use:
    """The bounds that a branch puts on an index, of which at most so many fields are points."""
    points: list[tuple[Scalar, ...]] = []
    used: set[int] = set()
    for one in index.fields[:1] if index.is_array else index.order:
        if len(points) == most_points:
            break
        place = _equality(branch, one.field, index)
        if place is None:
            break
        points.append(_values(branch[place]))
        used.add(place)
    interval = None
    if not index.is_array and len(points) < len(index.order):
        interval, more = _interval(branch, index.order[len(points)])
        used |= more
    return Use(tuple(points), interval, frozenset(used))


def streams(index: Index, branch: Branch, use: Use) -> list[Stream] | None:
    """One stream for each combination of points; None where they are too many."""
    prefixes = list(islice(product(*use.points), _MOST_PREFIXES + 1))
    if len(prefixes) > _MOST_PREFIXES:
        return None
    prefixes.sort(key=lambda one: ranks(index.order, one))
    rest = [one for place, one in enumerate(branch) if place not in use.used]
    found: list[Stream] = []
    for prefix in prefixes:
        one = _range(prefix, use.interval)
        if is_empty(one, index.order):
            continue
        others = rest
        if index.is_array:
            # A record may hold several of the values, and comes once.
            field = index.fields[0].field
            others = [
                *rest,
                *(Not(Comparison(field, Operator.EQ, other.prefix[0])) for other in found),
            ]
        found.append(Stream(index, prefix, (one,), conjunction(others)))
    return found


def conjunction(filters: Sequence[Filter]) -> Filter | None:
    if not filters:
        return None
    return filters[0] if len(filters) == 1 else All(tuple(filters))


def _range(prefix: Key, interval: Range | None) -> Range:
    if interval is None:
        return Range(End(prefix), End(prefix))
    low, high = interval
    return Range(
        End(prefix + low.values, is_open=low.is_open),
        End(prefix + high.values, is_open=high.is_open),
    )


def _equality(branch: Branch, field: Field, index: Index) -> int | None:
    """Which filter says that the field equals one of some values."""
    for place, one in enumerate(branch):
        if (
            isinstance(one, Comparison)
            and one.field == field
            and one.operator in (Operator.EQ, Operator.IN)
            and not (index.is_array and None in _values(one))
        ):
            return place
    return None


def _values(one: Filter) -> tuple[Scalar, ...]:
    assert isinstance(one, Comparison)
    values: tuple[Scalar, ...] = one.value if one.operator is Operator.IN else (one.value,)
    return values


def _interval(branch: Branch, of: Ordered) -> tuple[Range | None, set[int]]:
    """The values between which a field must be, and which filters say so."""
    low = high = End()
    kind: type | None = None
    used: set[int] = set()
    for place, one in _comparisons(branch, of.field):
        is_text = isinstance(one.value, str)
        if kind is not None and kind is not (str if is_text else float):
            continue
        if (one.operator in _LOWER and low.values) or (one.operator in _UPPER and high.values):
            continue
        kind = str if is_text else float
        if one.operator in _LOWER:
            low = End((one.value,), is_open=one.operator is Operator.GT)
        if one.operator in _UPPER:
            high = _upper(one)
        used.add(place)
    if kind is None:
        return _hull(branch, of), used
    # Times are all of one type, and always there: nothing lies beyond them.
    if not low.values and not of.field.is_time:
        low = End((_FIRST_TEXT,)) if kind is str else End((None,), is_open=True)
    if not high.values and not of.field.is_time:
        high = End((_ABOVE_TEXT if kind is str else _FIRST_TEXT,), is_open=True)
    return (Range(high, low) if of.descending else Range(low, high)), used


def _hull(branch: Branch, of: Ordered) -> Range | None:
    """From the least to the greatest of the values that a field may equal."""
    for one in branch:
        if (
            isinstance(one, Comparison)
            and one.field == of.field
            and one.operator in (Operator.EQ, Operator.IN)
            and _values(one)
        ):
            values = sorted(_values(one), key=lambda value: ranks((of,), (value,)))
            return Range(End((values[0],)), End((values[-1],)))
    return None


def _comparisons(branch: Branch, field: Field) -> Iterator[tuple[int, Comparison]]:
    for place, one in enumerate(branch):
        if (
            isinstance(one, Comparison)
            and one.field == field
            and (one.operator in _LOWER or one.operator in _UPPER)
        ):
            yield place, one


def _upper(one: Comparison) -> End:
    if one.operator is not Operator.PREFIX:
        return End((one.value,), is_open=one.operator is Operator.LT)
    end = after_prefix(one.value)
    return End((_ABOVE_TEXT if end is None else end,), is_open=True)
