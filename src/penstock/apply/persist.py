"""Slices of the log into the store: read what they touch, fold, write, conclude."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock.apply.aside import Aside, Burst
from penstock.apply.fold import Limits
from penstock.apply.rulebook import Rulebook
from penstock.apply.step import ByRecord, Novelty, Step
from penstock.errors import NotFound
from penstock.ports.log import Slice
from penstock.ports.store import Applied, Store
from penstock.records.operation import Unreadable
from penstock.records.outcome import Outcome, Result, Results
from penstock.records.position import Partition
from penstock.records.record import State

Written = dict[str, Sequence[State]]
"""The states that the store confirmed, by collection id."""


class Persisted(NamedTuple):
    """What became of slices: the states written, and each entry that was not plainly applied."""

    written: Written
    results: Results


class Persist:
    """Applies slices to the store."""

    def __init__(self, store: Store, rulebook: Rulebook, limits: Limits, burst: Burst) -> None:
        self._store = store
        self._rulebook = rulebook
        self._limits = limits
        self._burst = burst
        self._novelty = Novelty()

    async def slices(self, slices: Sequence[Slice], identity: Callable[[int], str]) -> Persisted:
        """Apply slices of different partitions together; returns what became of them.

        A record has one partition, so they touch different records. Raises `Unavailable`: nothing
        was written, then; with a store that has no transactions some of it may have been, and
        repeating all of it is right. Raises `TooManyDefects` where so much could not be applied
        that it should not be put aside.
        """
        outcomes: list[Outcome] = []
        written: Written = {}
        results: Results = {}
        groups = _grouped(slices)
        of_no_collection = groups.pop("", {})
        async with self._store.batch() as batch:
            aside = Aside(batch, self._burst, results)
            await aside.unreadable(_unreadable(of_no_collection))
            for collection_id, records in groups.items():
                try:
                    rules = await self._rulebook.open(collection_id, _revisions(records))
                except NotFound as error:
                    outcomes.extend(_rejected(records, error))
                    continue
                step = Step(batch, collection_id, rules, self._limits, aside, results)
                written[collection_id] = await step.write(records, self._novelty)
            results |= {one.position: one.result for one in outcomes}
            outcomes.sort(key=lambda outcome: outcome.position)
            await batch.conclude(outcomes, _reached(slices, identity))
        return Persisted(written, results)


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


def _unreadable(of_no_collection: ByRecord) -> list[Unreadable]:
    """Of no collection are marks of the log's own, too, of which nothing comes."""
    return [
        entry
        for entries in of_no_collection.values()
        for entry in entries
        if isinstance(entry, Unreadable)
    ]


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


def _rejected(records: ByRecord, error: NotFound) -> list[Outcome]:
    return [
        Outcome(entry.position, Result.REJECTED, entry.time, code=error.code, detail=error.detail)
        for entries in records.values()
        for entry in entries
    ]
