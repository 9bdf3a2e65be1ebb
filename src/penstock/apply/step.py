"""The part of a batch that touches one collection: read, fold, write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.apply.aside import Aside
from penstock.apply.fold import Folded, Limits, fold, fold_new, is_plain
from penstock.apply.rulebook import RulesByRevision
from penstock.errors import PenstockError, Unavailable
from penstock.ports.store import StoreBatch
from penstock.records.operation import Entry, Kind
from penstock.records.outcome import Results
from penstock.records.record import Mark, State
from penstock.telemetry.logs import logger

ByRecord = dict[str, list[Entry]]

_NONE_SPILLED: dict[str, Mark] = {}
_MOSTLY_NEW = 0.8
_PATCH = int(Kind.PATCH)
_PASSED_ON = (PenstockError, OSError, MemoryError)
"""What is no defect of ours, and says nothing about an entry."""

_log = logger("worker")


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


class Step:
    """Writes what the entries of one collection make of its records, and notes the outcomes."""

    def __init__(
        self,
        batch: StoreBatch,
        collection_id: str,
        rules: RulesByRevision,
        limits: Limits,
        aside: Aside,
        results: Results,
    ) -> None:
        self._batch = batch
        self._collection_id = collection_id
        self._rules = rules
        self._limits = limits
        self._aside = aside
        self._results = results

    async def write(self, records: ByRecord, novelty: Novelty) -> Sequence[State]:
        """Fold and write; returns the states written. What cannot be applied goes aside."""
        try:
            return await self._write(records, novelty)
        except _PASSED_ON:
            raise
        except Exception as error:  # noqa: BLE001  # whatever a defect of ours may raise
            return await self._apart(records, error)

    async def _apart(self, records: ByRecord, error: Exception) -> list[State]:
        """Find out whose entry cannot be applied, by halves; write the others.

        What was written already is at its fence, and is passed over.
        """
        if len(records) == 1:
            ((record_id, entries),) = records.items()
            return await self._until_it_fails(record_id, entries, error)
        items = list(records.items())
        middle = len(items) // 2
        written: list[State] = []
        for half in (dict(items[:middle]), dict(items[middle:])):
            try:
                written += (await self._replace(half))[1]
            except _PASSED_ON:
                raise
            except Exception as deeper:  # noqa: BLE001  # as above
                written += await self._apart(half, deeper)
        return written

    async def _until_it_fails(
        self, record_id: str, entries: Sequence[Entry], error: Exception
    ) -> list[State]:
        """One record's entries one by one; the first that fails goes aside, with all behind it."""
        written: list[State] = []
        for place, entry in enumerate(entries):
            try:
                written += (await self._replace({record_id: [entry]}))[1]
            except _PASSED_ON:
                raise
            except Exception as its:  # noqa: BLE001  # as above
                before = await self._batch.load(self._collection_id, [record_id], ())
                await self._aside.first(before.get(record_id), entries[place:], its)
                return written
        # Together they failed, one by one they did not: what they made of the record is right.
        _log.error("applied_one_by_one", record_id=record_id, exc_info=error)
        return written

    async def _write(self, records: ByRecord, novelty: Novelty) -> Sequence[State]:
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
        parked = {record_id for record_id, state in before.items() if state.parked is not None}
        for record_id in parked:
            await self._aside.behind(before[record_id], records[record_id])
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
            if record_id not in parked
        }
        await self._spill(folded.values())
        # Before the records: what is folded in already is not folded again, after a crash.
        outcomes = [outcome for one in folded.values() for outcome in one.outcomes]
        if outcomes:
            await self._batch.conclude(outcomes, {})
            self._results |= {one.position: one.result for one in outcomes}
        states = [one.state for one in folded.values() if one.state is not None]
        stale = set(await self._batch.replace(self._collection_id, states))
        if stale:
            await self._check_stale([state for state in states if state.record_id in stale])
        written = [state for state in states if state.record_id not in stale]
        return len(records) - len(before), written

    async def _check_stale(self, refused: Sequence[State]) -> None:
        """Raise unless what was not written is there already: it may have been parked meanwhile."""
        ids = [state.record_id for state in refused]
        stored = await self._batch.load(self._collection_id, ids, ())
        for state in refused:
            now = stored.get(state.record_id)
            if now is None or now.fence < state.fence:
                raise Unavailable("store_unavailable", internal="a record has changed meanwhile")

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


def _patched(records: ByRecord) -> set[str]:
    return {
        record_id
        for record_id, entries in records.items()
        if any(entry.operation.kind == _PATCH for entry in entries)
    }
