"""Slices of the log into the store: read what they touch, fold, write, conclude."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from penstock.apply.fold import Folded, Limits, fold, fold_new, is_plain
from penstock.apply.rulebook import Rulebook, RulesByRevision
from penstock.errors import NotFound
from penstock.ports.log import Slice
from penstock.ports.store import Applied, Store, StoreBatch
from penstock.records.operation import Entry, Kind
from penstock.records.outcome import Outcome, Result
from penstock.records.position import Partition
from penstock.records.record import Mark, State

ByRecord = dict[str, list[Entry]]
Written = dict[str, Sequence[State]]
"""The states that the store confirmed, by collection id."""

_NONE_SPILLED: dict[str, Mark] = {}
_MOSTLY_NEW = 0.8
_PATCH = int(Kind.PATCH)


class Novelty:
    """Whether the records of a collection's next batch are likely new, from what the last one met.

    New records are cheaper inserted unread; known ones, read first.
    """

    def __init__(self) -> None:
        self._share: dict[str, float] = {}

    def expected(self, collection_id: str) -> bool:
        return self._share.get(collection_id, 1.0) > _MOSTLY_NEW

    def met(self, collection_id: str, new: int, total: int) -> None:
        self._share[collection_id] = new / total


class Persist:
    """Applies slices to the store."""

    def __init__(self, store: Store, rulebook: Rulebook, limits: Limits) -> None:
        self._store = store
        self._rulebook = rulebook
        self._limits = limits
        self._novelty = Novelty()

    async def slices(self, slices: Sequence[Slice], identity: Callable[[int], str]) -> Written:
        """Apply slices of different partitions together; returns what was written.

        A record has one partition, so they touch different records. Raises `Unavailable`: nothing
        was written, then; with a store that has no transactions some of it may have been, and
        repeating all of it is right.
        """
        outcomes: list[Outcome] = []
        written: Written = {}
        async with self._store.batch() as batch:
            for collection_id, records in _grouped(slices).items():
                try:
                    rules = await self._rulebook.open(collection_id, _revisions(records))
                except NotFound as error:
                    outcomes.extend(_rejected(records, error))
                    continue
                step = _Step(batch, collection_id, rules, self._limits)
                written[collection_id] = await step.write(records, self._novelty)
            outcomes.sort(key=lambda outcome: outcome.position)
            await batch.conclude(outcomes, _reached(slices, identity))
        return written


class _Step:
    """The part of a slice that touches one collection."""

    def __init__(
        self, batch: StoreBatch, collection_id: str, rules: RulesByRevision, limits: Limits
    ) -> None:
        self._batch = batch
        self._collection_id = collection_id
        self._rules = rules
        self._limits = limits

    async def write(self, records: ByRecord, novelty: Novelty) -> Sequence[State]:
        """Fold and write; returns the states written."""
        written: list[State] = []
        total, known = len(records), records
        if novelty.expected(self._collection_id):
            written, known = await self._insert(records)
            novelty.met(self._collection_id, len(written), total)
        if known:
            new, replaced = await self._replace(known)
            if known is records:
                novelty.met(self._collection_id, new, total)
            written.extend(replaced)
        return written

    async def _insert(self, records: ByRecord) -> tuple[list[State], ByRecord]:
        """Write all as if they were new; returns what went in, and what is to be read first.

        That is what turned out to exist, and what would have outcomes: these go before the record,
        and whether they are right, only the record tells.
        """
        plain: list[State] = []
        folded: dict[str, Folded] = {}
        rules, limits = self._rules, self._limits
        for record_id, entries in records.items():
            entry = entries[0]
            if len(entries) == 1 and is_plain(entry.operation):
                plain.append(fold_new(entry, rules[entry.operation.revision], limits))
            else:
                folded[record_id] = fold(None, entries, rules.__getitem__, _NONE_SPILLED, limits)
        unread = {record_id for record_id, one in folded.items() if one.outcomes}
        certain = [one for record_id, one in folded.items() if record_id not in unread]
        await self._spill(certain)
        states = plain + [one.state for one in certain if one.state is not None]
        existing = set(await self._batch.insert(self._collection_id, states))
        if not existing and not unread:
            return states, {}
        known = {record_id: records[record_id] for record_id in existing | unread}
        return [state for state in states if state.record_id not in existing], known

    async def _replace(self, records: ByRecord) -> tuple[int, list[State]]:
        """Read, fold and write conditionally; returns how many were new, and the states written."""
        before = await self._batch.load(self._collection_id, records.keys(), _patched(records))
        spilled = await self._older_marks(records, before)
        folded = {
            record_id: fold(
                before.get(record_id),
                entries,
                self._rules.__getitem__,
                spilled.get(record_id, _NONE_SPILLED),
                self._limits,
            )
            for record_id, entries in records.items()
        }
        await self._spill(folded.values())
        # Before the records: what is folded in already is not folded again, after a crash.
        outcomes = [outcome for one in folded.values() for outcome in one.outcomes]
        if outcomes:
            await self._batch.conclude(outcomes, {})
        states = [one.state for one in folded.values() if one.state is not None]
        stale = set(await self._batch.replace(self._collection_id, states))
        written = [state for state in states if state.record_id not in stale]
        return len(records) - len(before), written

    async def _older_marks(
        self, records: ByRecord, before: dict[str, State]
    ) -> dict[str, dict[str, Mark]]:
        """Marks of the side collection, by record and operation id; only for flagged records."""
        asked = [
            (record_id, entry.operation.operation_id)
            for record_id, state in before.items()
            if state.spilled
            for entry in records[record_id]
        ]
        older: dict[str, dict[str, Mark]] = {}
        if asked:
            found = await self._batch.spilled(self._collection_id, asked)
            for (record_id, operation_id), mark in found.items():
                older.setdefault(record_id, {})[operation_id] = mark
        return older

    async def _spill(self, folded: Iterable[Folded]) -> None:
        """Before the records themselves: a record flagged without its side rows would forget."""
        marks = [mark for one in folded for mark in one.spilled]
        if marks:
            await self._batch.spill(self._collection_id, marks)


def _grouped(slices: Sequence[Slice]) -> dict[str, ByRecord]:
    """The entries by collection and record, each record's in log order."""
    groups: dict[str, ByRecord] = {}
    for slice_ in slices:
        for entry in slice_.entries:
            operation = entry.operation
            records = groups.get(operation.collection_id)
            if records is None:
                records = groups[operation.collection_id] = {}
            known = records.get(operation.record_id)
            if known is None:
                records[operation.record_id] = [entry]
            else:
                known.append(entry)
    return groups


def _reached(slices: Sequence[Slice], identity: Callable[[int], str]) -> dict[Partition, Applied]:
    """How far the store reflects each partition once these slices are applied."""
    return {
        slice_.partition: Applied(
            last.position,
            identity(slice_.partition.generation),
            last.operation.operation_id,
            last.time,
        )
        for slice_ in slices
        for last in slice_.entries[-1:]
    }


def _revisions(records: ByRecord) -> set[int]:
    return {entry.operation.revision for entries in records.values() for entry in entries}


def _patched(records: ByRecord) -> set[str]:
    return {
        record_id
        for record_id, entries in records.items()
        if any(entry.operation.kind == _PATCH for entry in entries)
    }


def _rejected(records: ByRecord, error: NotFound) -> list[Outcome]:
    return [
        Outcome(entry.position, Result.REJECTED, entry.time, code=error.code, detail=error.detail)
        for entries in records.values()
        for entry in entries
    ]
