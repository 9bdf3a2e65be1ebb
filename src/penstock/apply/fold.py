"""The fold: what entries make of a record. Pure, written once, used by every engine.

For each entry, in this order: one at or below the record's fence was folded before and is dropped;
one whose operation id is remembered at a lower position is a duplicate, which moves the fence only;
one whose preconditions do not hold, or whose patch breaks the schema or the size, is rejected, and
moves the fence only; any other makes a new version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from penstock.errors import (
    Conflict,
    Invalid,
    NotFound,
    PreconditionFailed,
    Refused,
)
from penstock.records.collection import Rules
from penstock.records.document import MAX_NAMES, count_names, encode
from penstock.records.operation import Entry, Kind, Operation, retention_ms
from penstock.records.outcome import Outcome, Result
from penstock.records.patch import merge
from penstock.records.position import Position
from penstock.records.record import REMEMBERED, Effect, Mark, State

_NOWHERE: Final = Position("")
_CREATE: Final = int(Kind.CREATE)
_PUT: Final = int(Kind.PUT)
_PATCH: Final = int(Kind.PATCH)
_CREATED: Final = str(Effect.CREATED)
_CHANGED: Final = str(Effect.CHANGED)
_REJECTED: Final = str(Effect.REJECTED)
_decode: Final = msgspec.json.Decoder().decode

RulesOf = Callable[[int], Rules]
"""The rules of one revision of the collection's settings."""


class Limits(NamedTuple):
    """What the fold is bounded by.

    Attributes:
        record_bytes: largest record after a patch, as canonical JSON.
        keep_ms: how long a tombstone or an expired record is kept: longer than the log keeps
            entries, else a replay would resurrect it.
    """

    record_bytes: int
    keep_ms: int


class Folded(NamedTuple):
    """What came of a record's entries.

    Attributes:
        state: to be written; None where every entry had been folded before.
        outcomes: one for each entry that was not applied.
        spilled: (record id, mark, until): marks that found no room in the record.
    """

    state: State | None
    outcomes: Sequence[Outcome]
    spilled: Sequence[tuple[str, Mark, int]]


def fold_new(entry: Entry, rules: Rules, limits: Limits) -> State:
    """The state after the only entry of a record that never was: an unconditional create or put.

    What `fold` would make of it, at a third of the cost: most of what arrives is of this kind.
    """
    operation, position, time = entry.operation, entry.position, entry.time
    expires_at = gc_at = None
    if rules.expiring:
        value = _decode(operation.data) if rules.reads_data else None
        expires_at = rules.expires_at(value, time, time)
        gc_at = None if expires_at is None else expires_at + limits.keep_ms
    return State(
        operation.record_id,
        position,
        position,
        time,
        time,
        operation.data,
        expires_at,
        gc_at,
        (Mark(operation.operation_id, position, time, _CREATED),),
    )


def is_plain(operation: Operation) -> bool:
    """Whether `fold_new` may be used, should the record be new."""
    return operation.kind <= _PUT and operation.if_match is None


def fold(
    before: State | None,
    entries: Sequence[Entry],
    rules_of: RulesOf,
    spilled: Mapping[str, Mark],
    limits: Limits,
) -> Folded:
    """Fold a record's entries, in log order, into its state.

    Args:
        before: the stored state, with marks, and with data where any entry is a patch.
        entries: of one record, positions rising.
        rules_of: the rules of each revision that the entries were accepted under.
        spilled: marks from the side collection for these entries' operation ids.
        limits: see `Limits`.
    """
    record = _Record(before, entries[0].operation.record_id, spilled, limits)
    for entry in entries:
        if entry.position > record.state.fence:
            record.take(entry, rules_of)
    if not record.moved:
        return Folded(None, (), ())
    return Folded(record.finish(before), record.outcomes, record.spilling)


class _Record:
    """One record while its entries are folded into it."""

    def __init__(
        self, before: State | None, record_id: str, spilled: Mapping[str, Mark], limits: Limits
    ) -> None:
        if before is None:
            before = State(record_id, _NOWHERE, _NOWHERE, 0, 0, None)
        self.state = msgspec.structs.replace(before)
        self.outcomes: list[Outcome] = []
        self.spilling: list[tuple[str, Mark, int]] = []
        self.moved = False
        self._marks = {mark.operation_id: mark for mark in before.marks}
        self._older = spilled
        self._limits = limits

    def take(self, entry: Entry, rules_of: RulesOf) -> None:
        operation = entry.operation
        first = self._known(entry)
        if first is not None:
            self._refuse(entry, Result.DUPLICATE, first=first)
        else:
            existed = self.state.exists(entry.time)
            try:
                self._check(operation, existed=existed)
                self._change(entry, rules_of, existed=existed)
                self._remember(entry, _CHANGED if existed or not self.state.data else _CREATED)
            except Refused as error:
                self._refuse(entry, Result.REJECTED, error=error)
                self._remember(entry, _REJECTED)
        self.state.fence = entry.position
        self.moved = True

    def finish(self, before: State | None) -> State:
        """The state to write; its data is UNSET where no entry changed it."""
        state = self.state
        marks = list(self._marks.values())
        if len(marks) > REMEMBERED:
            marks = self._spill(marks)
        state.marks = tuple(marks)
        if before is not None and state.version == before.version:
            state.data = msgspec.UNSET if state.data is not None else None
        return state

    def _known(self, entry: Entry) -> Mark | None:
        operation_id = entry.operation.operation_id
        mark = self._marks.get(operation_id) or self._older.get(operation_id)
        if mark is None or mark.position >= entry.position:
            return None
        return mark if entry.time - mark.time <= retention_ms(operation_id) else None

    def _check(self, operation: Operation, *, existed: bool) -> None:
        """Raise where the preconditions do not hold."""
        wanted = operation.if_match
        if wanted is not None and not (existed and wanted in ("*", self.state.version)):
            raise PreconditionFailed("precondition_failed")
        was = existed or self.state.version != _NOWHERE
        if operation.kind == _CREATE and was:
            raise Conflict("record_exists", "" if existed else _DELETED)
        if operation.if_absent and was:
            raise PreconditionFailed("precondition_failed", "" if existed else _DELETED)
        if operation.kind == _PATCH and not existed:
            raise NotFound("record_not_found")

    def _change(self, entry: Entry, rules_of: RulesOf, *, existed: bool) -> None:
        """Make the new version, or raise and change nothing."""
        operation, state = entry.operation, self.state
        rules = rules_of(operation.revision)
        if operation.kind > _PATCH:
            if existed:
                self._version(entry, None, None)
            state.gc_at = entry.time + self._limits.keep_ms
            return
        data, value = operation.data, None
        if operation.kind == _PATCH:
            value = merge(_decode(self._data()), _decode(operation.data))
            data = self._patched(value, rules)
        elif rules.reads_data:
            value = _decode(data)
        created_at = state.created_at if existed else entry.time
        updated_at = max(state.updated_at, entry.time)
        expires_at = rules.expires_at(value, created_at, updated_at)
        state.created_at = created_at
        self._version(entry, data, expires_at)
        state.gc_at = None if expires_at is None else expires_at + self._limits.keep_ms

    def _version(self, entry: Entry, data: bytes | None, expires_at: int | None) -> None:
        state = self.state
        state.version = entry.position
        state.updated_at = max(state.updated_at, entry.time)
        state.data = data
        state.expires_at = expires_at

    def _data(self) -> bytes:
        assert isinstance(self.state.data, bytes), "data of a record to be patched is loaded"
        return self.state.data

    def _patched(self, value: Any, rules: Rules) -> bytes:
        rules.check(value)
        data = encode(value)
        if len(data) > self._limits.record_bytes or (
            # What a put could not write, a patch does not make.
            len(data) > MAX_NAMES and count_names(value) > MAX_NAMES
        ):
            raise Invalid("record_too_large")
        return data

    def _remember(self, entry: Entry, effect: str) -> None:
        operation_id = entry.operation.operation_id
        # Taken out first, so that an id that is used again after its retention moves to the end.
        self._marks.pop(operation_id, None)
        self._marks[operation_id] = Mark(operation_id, entry.position, entry.time, effect)
        if self.state.version == _NOWHERE:
            self._stub(entry)

    def _stub(self, entry: Entry) -> None:
        """A record that never was still remembers what was refused on it, for a while."""
        self.state.created_at = self.state.created_at or entry.time
        self.state.updated_at = max(self.state.updated_at, entry.time)
        self.state.gc_at = entry.time + self._limits.keep_ms

    def _refuse(
        self,
        entry: Entry,
        result: Result,
        first: Mark | None = None,
        error: Refused | None = None,
    ) -> None:
        outcome = Outcome(entry.position, result, entry.time)
        if first is not None:
            outcome = msgspec.structs.replace(outcome, first=first.position, effect=first.effect)
        if error is not None:
            outcome = msgspec.structs.replace(
                outcome, code=error.code, detail=error.detail, faults=error.faults
            )
        self.outcomes.append(outcome)

    def _spill(self, marks: list[Mark]) -> list[Mark]:
        """Keep the last ones in the record; the older that still count go to the side."""
        now = marks[-1].time
        for mark in marks[:-REMEMBERED]:
            until = mark.time + retention_ms(mark.operation_id)
            if until >= now:
                self.spilling.append((self.state.record_id, mark, until))
        self.state.spilled = self.state.spilled or bool(self.spilling)
        return marks[-REMEMBERED:]


_DELETED: Final = (
    "The record was deleted or expired not long ago: a put can bring it back, a create cannot."
)
