"""Indexes of a collection: what they hold, in which order, and parts of that order.

The values of one field stand in the order null (or nothing), numbers, text by code points, false,
true; the record's id comes last, so that no two keys are the same. An indexed field holds no object
and no array: one array made a page of 20 read 1,000 documents. An `array` index has a key for each
element of its one field instead, and finds what is equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property, total_ordering
from typing import Any, Final, NamedTuple

import msgspec

from penstock.records.field import ID, Field, Scalar, field

MOST_INDEXES: Final = 16
MOST_TEXT: Final = 1024
"""Bytes of text in an indexed field."""
_MOST_FIELDS: Final = 4

Key = tuple[Scalar, ...]
"""The values of an index's fields for a record, and its id; or the first of them."""


class IndexSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An index as a client puts it: `["data.site", "-data.time"]`, a minus for descending.

    With `array`, its one field may hold arrays, and finds records by equality with an element.
    """

    fields: tuple[str, ...]
    array: bool = False


class Ordered(NamedTuple):
    """A field, and which way round."""

    field: Field
    descending: bool = False

    @property
    def text(self) -> str:
        return f"-{self.field.text}" if self.descending else self.field.text


class Index(msgspec.Struct, frozen=True, dict=True, cache_hash=True):
    """An index.

    Attributes:
        name: made from what it is, so that the same index has the same name everywhere.
        fields: in their order; the id follows them, ascending.
        is_array: of the elements of its one field.
    """

    name: str
    fields: tuple[Ordered, ...]
    is_array: bool = False

    @cached_property
    def order(self) -> tuple[Ordered, ...]:
        """All that its keys hold."""
        return (*self.fields, Ordered(ID))

    def key(self, record_id: str, created_at: int, updated_at: int, data: Any) -> Key:
        """The key of a record; `data` is decoded. Not for the elements of arrays."""
        own = {"created_at": created_at, "updated_at": updated_at}
        values = [
            one.field.of(data) if one.field.path else own[one.field.text] for one in self.fields
        ]
        return (*values, record_id)


class IndexState(msgspec.Struct, frozen=True):
    """How far an index is.

    Attributes:
        is_ready: whether it can be used.
        progress: how much of it is built, from 0 to 1, where that is known.
        unfit: a record that has an object or array in one of its fields: it was not made.
    """

    is_ready: bool
    progress: float | None = None
    unfit: str | None = None


BY_ID: Final = Index("id", ())
"""The records themselves, by id: always there."""


def ordered(text: str) -> Ordered:
    """A field of a sort or an index. Raises ValueError with a sentence."""
    return Ordered(field(text.removeprefix("-")), text.startswith("-"))


def index_of(settings: IndexSettings) -> Index:
    """The index that is asked for. Raises ValueError with a sentence."""
    if not 1 <= len(settings.fields) <= _MOST_FIELDS:
        raise ValueError(f"An index has 1 to {_MOST_FIELDS} fields.")
    fields = tuple(ordered(one) for one in settings.fields)
    if len({one.field for one in fields}) < len(fields) or Ordered(ID).field in {
        one.field for one in fields
    }:
        raise ValueError("The fields of an index differ, and the id is not among them.")
    if settings.array and (len(fields) > 1 or not fields[0].field.path or fields[0].descending):
        raise ValueError("An array index has one field of data, ascending.")
    text = ",".join((*(one.text for one in fields), "array" if settings.array else ""))
    name = "i" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return Index(name, fields, settings.array)


@total_ordering
class Rank:
    """A value's place among the values of a field."""

    __slots__ = ("_place", "_reversed")

    def __init__(self, value: Any, *, reverse: bool = False) -> None:
        self._place = _place(value)
        self._reversed = reverse

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rank) and self._place == other._place

    def __lt__(self, other: Rank) -> bool:
        if self._reversed:
            return other._place < self._place
        return self._place < other._place

    __hash__ = None  # type: ignore[assignment]  # because nothing keeps ranks in a set


def ranks(order: Sequence[Ordered], values: Sequence[Any]) -> tuple[Rank, ...]:
    """What sorts values, or the first of them, as an index with this order does."""
    return tuple(
        Rank(value, reverse=one.descending) for one, value in zip(order, values, strict=False)
    )


def _place(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 3, value
    if isinstance(value, int | float):
        return 1, value
    if isinstance(value, str):
        # Python compares text by code points, as UTF-8 does by bytes.
        return 2, value
    return 4, 0


class End(NamedTuple):
    """An end of a range, in the index's own order.

    Attributes:
        values: of the first fields; all keys that begin with them are at this end.
        is_open: whether these keys are left out.
    """

    values: Key = ()
    is_open: bool = False


class Range(NamedTuple):
    """Consecutive keys: from `low`, which comes first in the index's order, to `high`."""

    low: End = End()
    high: End = End()


def is_empty(one: Range, order: Sequence[Ordered]) -> bool:
    """Whether no key can be in a range: its ends have passed each other."""
    low, high = one
    shared = min(len(low.values), len(high.values))
    if shared:
        first, last = ranks(order, low.values[:shared]), ranks(order, high.values[:shared])
        if first != last:
            return first > last
    return (low.is_open and len(low.values) == shared) or (
        high.is_open and len(high.values) == shared
    )


def cut(one: Range, order: Sequence[Ordered], key: Key, *, reverse: bool) -> Range | None:
    """What of a range comes after a whole key, or, in reverse, before it; None for nothing."""
    end = End(key, is_open=True)
    if reverse:
        if _before(order, key, one.low):
            return None
        return Range(one.low, one.high if _after(order, key, one.high) else end)
    if _after(order, key, one.high):
        return None
    return Range(one.low if _before(order, key, one.low) else end, one.high)


def _before(order: Sequence[Ordered], key: Key, low: End) -> bool:
    """Whether a key comes before all that begin at this end."""
    if not low.values:
        return low.is_open
    first, other = ranks(order, key[: len(low.values)]), ranks(order, low.values)
    return first < other or (first == other and low.is_open)


def _after(order: Sequence[Ordered], key: Key, high: End) -> bool:
    if not high.values:
        return high.is_open
    first, other = ranks(order, key[: len(high.values)]), ranks(order, high.values)
    return first > other or (first == other and high.is_open)
