"""A record as the store holds it, and as a client reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from penstock.records.position import Position

REMEMBERED: Final = 32
"""How many operation ids a record itself remembers; older ones go to a side collection."""


class Effect(StrEnum):
    """What an operation did to its record. The letters are stored: never change one."""

    CREATED = "c"
    CHANGED = "u"
    REJECTED = "r"


class Mark(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A remembered operation: its id, where and when it was folded, and what it did."""

    operation_id: str
    position: Position
    time: int
    effect: str


class State(msgspec.Struct, gc=False):
    """A record, or the tombstone of one, as the store holds it.

    Attributes:
        record_id: unique in its collection.
        fence: the position of the last entry folded into it, with or without effect.
        version: the position of the last entry that changed it.
        created_at, updated_at: ms since 1970, broker time.
        data: canonical JSON; None for a tombstone; UNSET where it was not loaded, or is not to be
            written because it has not changed.
        expires_at: ms since 1970 at which it ceases to exist for readers; None for never.
        gc_at: ms since 1970 from which it may be removed for good: tombstones and expired records.
        marks: the last operations, oldest first, at most `REMEMBERED`.
        spilled: whether older operations that still count are in the side collection.
        parked: the position of the first of its entries that was put aside, if any was. Such a
            record takes no entries, and is not removed.
        parked_to: up to where they were put aside.
    """

    record_id: str
    fence: Position
    version: Position
    created_at: int
    updated_at: int
    data: bytes | msgspec.UnsetType | None
    expires_at: int | None = None
    gc_at: int | None = None
    marks: tuple[Mark, ...] = ()
    spilled: bool = False
    parked: Position | None = None
    parked_to: Position | None = None

    def holds_back(self, position: Position) -> bool:
        """Whether its entry at this position was put aside, and waits there."""
        return (
            self.parked is not None
            and self.parked_to is not None
            and position > self.fence
            and self.parked <= position <= self.parked_to
        )

    def exists(self, now: int) -> bool:
        """Whether a reader at `now` (ms since 1970) sees a record here."""
        return self.data is not None and (self.expires_at is None or self.expires_at > now)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def timestamp(milliseconds: int) -> str:
    """RFC 3339, in UTC, with milliseconds: `2026-01-31T12:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


def quoted(text: str) -> str:
    """A JSON string literal of it."""
    return _encode(text).decode()


_encode = msgspec.json.Encoder().encode


def render(state: State) -> bytes:
    """The one canonical JSON of a record: the same version is always the same bytes."""
    assert isinstance(state.data, bytes)
    return (
        f'{{"id":{quoted(state.record_id)},"version":"{state.version}",'
        f'"created_at":"{timestamp(state.created_at)}",'
        f'"updated_at":"{timestamp(state.updated_at)}","data":'
    ).encode() + b"%b}" % state.data
