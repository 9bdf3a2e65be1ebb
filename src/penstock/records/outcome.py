"""What became of an entry."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from penstock.errors import Fault
from penstock.records.position import Position


class Result(StrEnum):
    """The four outcomes. All but `applied` are rows in the store."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"


Results = dict[Position, Result]
"""Of the entries that were not plainly applied."""


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of the entry at `position`.

    Attributes:
        position: of the entry.
        result: see `Result`.
        time: of the entry, ms since 1970; outcomes are kept for 24 h.
        first: for a duplicate, where the operation was folded for the first time.
        effect: for a duplicate, what it did then: an `Effect`'s letter.
        code: for a rejection (also a duplicate of one), the error code.
        detail: for a rejection, the sentence for the client.
        faults: for a rejection, what is wrong where.
    """

    position: Position
    result: Result
    time: int
    first: Position | None = None
    effect: str | None = None
    code: str | None = None
    detail: str = ""
    faults: tuple[Fault, ...] = ()
