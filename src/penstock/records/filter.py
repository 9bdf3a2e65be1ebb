"""Filters: a small tree, parsed from the part of MongoDB's operator syntax that is safe.

A comparison looks at the values of a field: arrays on the way, and at its end, stand for their
elements (one level of them), and it is enough that one compares. Only values of one type compare:
numbers with numbers, text with text, by code points. `null` is also what is not there.

Nothing of a client's reaches an engine but names that `field` has checked, and scalars.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from penstock.errors import Fault, Malformed
from penstock.records.document import escape
from penstock.records.field import Field, Scalar, field

_MOST_DEPTH: Final = 10
_MOST_COMPARISONS: Final = 100
_MOST_VALUES: Final = 200
_MOST_BYTES: Final = 1024
_SURROGATES: Final = range(0xD800, 0xE000)
_LAST_CODE_POINT: Final = 0x10FFFF


class Operator(Enum):
    """How a field is compared; `$ne`, `$nin` and `$not` are negations of these."""

    EQ = "$eq"
    GT = "$gt"
    GTE = "$gte"
    LT = "$lt"
    LTE = "$lte"
    IN = "$in"
    EXISTS = "$exists"
    PREFIX = "$prefix"


class Comparison(NamedTuple):
    """A field against a value: a scalar; for IN several; for EXISTS True. Times are ms."""

    field: Field
    operator: Operator
    value: Any


class All(NamedTuple):
    """Holds where all parts do; also where there are none."""

    parts: tuple[Filter, ...]


class Either(NamedTuple):
    """Holds where one of the parts does."""

    parts: tuple[Filter, ...]


class Not(NamedTuple):
    """Holds where the part does not."""

    part: Filter


Filter = Comparison | All | Either | Not

_ORDERED: Final = {one.value: one for one in (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE)}
_NEGATED: Final = {"$ne": Operator.EQ, "$nin": Operator.IN}


def parse_filter(document: Any, pointer: str = "") -> Filter | None:
    """The tree of a decoded filter; None for the empty one, which holds for all records.

    Raises `Malformed` (`invalid_filter`) with a pointer.
    """
    parsed = _Parser().object(document, pointer, 1)
    return None if parsed == All(()) else parsed


def shape(filter_: Filter | None) -> str:
    """What a filter asks, without its values: for logs."""
    match filter_:
        case None:
            return ""
        case Comparison(one, operator, _):
            return f"{one.text} {operator.value}"
        case All(parts):
            return f"({' and '.join(map(shape, parts))})"
        case Either(parts):
            return f"({' or '.join(map(shape, parts))})"
        case Not(part):
            return f"not {shape(part)}"


def after_prefix(prefix: str) -> str | None:
    """The least text above all that begin with `prefix`; None where there is none."""
    for place in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[place]) + 1
        if code in _SURROGATES:
            code = _SURROGATES.stop
        if code <= _LAST_CODE_POINT:
            return prefix[:place] + chr(code)
    return None


class _Parser:
    """Parses one filter, and counts its comparisons."""

    def __init__(self) -> None:
        self._left = _MOST_COMPARISONS

    def object(self, document: Any, pointer: str, depth: int) -> Filter:
        if type(document) is not dict:
            raise _bad(pointer, "A filter is a JSON object.")
        if depth > _MOST_DEPTH:
            raise _bad(pointer, f"A filter is at most {_MOST_DEPTH} levels deep.")
        parts = [
            self._member(name, value, f"{pointer}/{escape(name)}", depth)
            for name, value in document.items()
        ]
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _member(self, name: str, value: Any, pointer: str, depth: int) -> Filter:
        match name:
            case "$and":
                return All(self._list(value, pointer, depth))
            case "$or":
                return Either(self._list(value, pointer, depth))
            case "$not":
                return Not(self.object(value, pointer, depth + 1))
        if name.startswith("$"):
            raise _bad(pointer, f"{name[:50]} is not known here: $and, $or and $not are.")
        try:
            of = field(name)
        except ValueError as error:
            raise _bad(pointer, str(error)) from None
        return self._conditions(of, value, pointer, depth)

    def _list(self, value: Any, pointer: str, depth: int) -> tuple[Filter, ...]:
        if type(value) is not list or not value:
            raise _bad(pointer, "It takes a list of filters, at least one.")
        return tuple(
            self.object(one, f"{pointer}/{place}", depth + 1) for place, one in enumerate(value)
        )

    def _conditions(self, of: Field, value: Any, pointer: str, depth: int) -> Filter:
        if type(value) is not dict:
            return self._comparison(of, "$eq", value, pointer)
        if not value:
            raise _bad(pointer, "Objects cannot be compared: an operator is missing.")
        parts: list[Filter] = []
        for name, operand in value.items():
            here = f"{pointer}/{escape(name)}"
            if name == "$not":
                if type(operand) is not dict or depth >= _MOST_DEPTH:
                    raise _bad(here, "$not takes an object of operators.")
                parts.append(Not(self._conditions(of, operand, here, depth + 1)))
            else:
                parts.append(self._comparison(of, name, operand, here))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _comparison(self, of: Field, name: str, operand: Any, pointer: str) -> Filter:
        self._left -= 1
        if self._left < 0:
            raise _bad(pointer, f"A filter has at most {_MOST_COMPARISONS} comparisons.")
        if name == "$exists":
            if type(operand) is not bool or not of.path:
                raise _bad(pointer, "$exists takes true or false, for a field of data.")
            there = Comparison(of, Operator.EXISTS, True)
            return there if operand else Not(there)
        if name in ("$in", "$nin"):
            found: Filter = Comparison(of, Operator.IN, _values(of, operand, pointer))
        elif name in ("$eq", "$ne"):
            found = Comparison(of, Operator.EQ, _scalar(of, operand, pointer))
        elif name == "$prefix":
            return Comparison(of, Operator.PREFIX, _prefix(of, operand, pointer))
        elif name in _ORDERED:
            return Comparison(of, _ORDERED[name], _ordered(of, operand, pointer))
        else:
            known = ", ".join((*(one.value for one in Operator), *_NEGATED, "$not"))
            raise _bad(pointer, f"{name[:50]!r} is no operator: {known} are.")
        return Not(found) if name in _NEGATED else found


def _values(of: Field, operand: Any, pointer: str) -> tuple[Scalar, ...]:
    if type(operand) is not list or len(operand) > _MOST_VALUES:
        raise _bad(pointer, f"It takes a list of at most {_MOST_VALUES} values.")
    found = [_scalar(of, one, f"{pointer}/{place}") for place, one in enumerate(operand)]
    # As JSON has them, since to Python 1 is True.
    return tuple({(type(one) is bool, one): one for one in found}.values())


def _scalar(of: Field, value: Any, pointer: str) -> Scalar:
    if isinstance(value, dict | list):
        raise _bad(pointer, "Objects and arrays cannot be compared.")
    if isinstance(value, str) and len(value.encode()) > _MOST_BYTES:
        raise _bad(pointer, f"Text is compared with at most {_MOST_BYTES} bytes.")
    if of.is_time:
        return _moment(value, pointer)
    if not of.path and not isinstance(value, str):
        raise _bad(pointer, f"{of.text} is compared with text.")
    scalar: Scalar = value
    return scalar


def _ordered(of: Field, operand: Any, pointer: str) -> Scalar:
    value = _scalar(of, operand, pointer)
    if value is None or isinstance(value, bool):
        raise _bad(pointer, "Only numbers and text have an order.")
    return value


def _prefix(of: Field, operand: Any, pointer: str) -> str:
    if of.is_time or not isinstance(operand, str) or "\x00" in operand:
        raise _bad(pointer, "$prefix takes text without NUL, and not for a time.")
    _scalar(of, operand, pointer)
    return operand


def _moment(value: Any, pointer: str) -> int:
    """An RFC 3339 date-time in ms since 1970."""
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _bad(pointer, "A time is an RFC 3339 date-time with its zone.")
    return round(moment.timestamp() * 1000)


def _bad(pointer: str, detail: str) -> Malformed:
    return Malformed("invalid_filter", detail, faults=(Fault(pointer, detail),))
