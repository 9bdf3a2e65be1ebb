"""What cannot be applied goes aside, and what follows it on its record waits behind it.

The letters are written first, then the record is marked, both before the applied position passes:
up to `parked_to`, a record has all its letters. A crash in between leaves letters that no record
tells of; their entries are read again, and so are these letters written again, or folded after all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import msgspec

from penstock.errors import TooManyDefects, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.store import StoreBatch
from penstock.records.letter import Letter
from penstock.records.operation import Entry, Unreadable
from penstock.records.outcome import Result, Results
from penstock.records.position import Position
from penstock.records.record import State
from penstock.telemetry.logs import logger

MOST: Final = 16
WITHIN_MS: Final = 60_000

_NOWHERE: Final = Position("")
_REASON_CHARACTERS: Final = 200

_log = logger("quarantine")


class Burst:
    """Counts what could not be applied: more than `MOST` within `WITHIN_MS` stops the worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times: OrderedDict[Position, int] = OrderedDict()

    def note(self, position: Position, reason: str) -> None:
        """Count this one. Raises `TooManyDefects`: it is not to be put aside, then."""
        now = self._clock.now()
        # An entry that is read again is the same defect.
        self._times.setdefault(position, now)
        while self._times and next(iter(self._times.values())) < now - WITHIN_MS:
            self._times.popitem(last=False)
        if len(self._times) > MOST:
            raise TooManyDefects(
                f"More than {MOST} entries could not be applied within {WITHIN_MS // 1000} s, the"
                f" last one at {position}: {reason}. Is there a defect in this version?"
            )


class Aside:
    """Puts entries of one batch aside, and notes it."""

    def __init__(self, batch: StoreBatch, burst: Burst, results: Results) -> None:
        self._batch = batch
        self._burst = burst
        self._results = results

    async def unreadable(self, entries: Sequence[Unreadable]) -> None:
        """Keep what is no entry of ours; there is no record to mark."""
        for entry in entries:
            self._burst.note(entry.position, entry.reason)
            _log.error("entry_put_aside", position=entry.position, reason=entry.reason)
        await self._keep([Letter.of(entry, entry.reason) for entry in entries])

    async def first(self, before: State | None, entries: Sequence[Entry], error: Exception) -> None:
        """Park a record: the first of these entries could not be applied."""
        reason, first = reason_of(error), entries[0].position
        self._burst.note(first, reason)
        _log.error("entry_put_aside", position=first, reason=reason, exc_info=error)
        letters = [Letter.of(entries[0], reason)]
        letters += [Letter.of(entry, "", first) for entry in entries[1:]]
        await self._put(before, letters)

    async def behind(self, before: State, entries: Sequence[Entry]) -> None:
        """Let entries of a parked record wait behind what is there."""
        assert before.parked_to is not None
        # Up to there, all letters are written: this is a batch that is applied again.
        reached = max(before.fence, before.parked_to)
        letters = [
            Letter.of(entry, "", before.parked) for entry in entries if entry.position > reached
        ]
        if letters:
            await self._put(before, letters)

    async def _put(self, before: State | None, letters: Sequence[Letter]) -> None:
        await self._keep(letters)
        after = _parked(before, letters)
        if not await self._batch.swap(letters[0].collection_id, before, after):
            raise Unavailable(
                "store_unavailable", internal=f"the record of {letters[0].position} has changed"
            )

    async def _keep(self, letters: Sequence[Letter]) -> None:
        await self._batch.put_aside(letters)
        self._results |= {one.position: Result.QUARANTINED for one in letters}


def reason_of(error: Exception) -> str:
    """What was raised, in a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:_REASON_CHARACTERS]


def _parked(before: State | None, letters: Sequence[Letter]) -> State:
    """The record, marked; it does not go while it is."""
    first, last = letters[0], letters[-1]
    if before is None:
        before = State(first.record_id, _NOWHERE, _NOWHERE, first.time, first.time, None)
    return msgspec.structs.replace(
        before,
        parked=before.parked or first.position,
        parked_to=max(before.parked_to or _NOWHERE, last.position),
        gc_at=None,
    )
