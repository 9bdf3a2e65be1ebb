"""The store: the records as the log has made them, and how far it reflects the log."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from penstock.records.aggregate import Aggregation, Group
from penstock.records.filter import Filter
from penstock.records.index import Index, IndexState
from penstock.records.letter import Letter
from penstock.records.outcome import Outcome
from penstock.records.position import Partition, Position
from penstock.records.record import Mark, State
from penstock.records.scan import Scan


class Applied(msgspec.Struct, frozen=True):
    """How far the store reflects one partition of the log.

    Attributes:
        position: of the last entry applied.
        log: the identity of the log that it was in.
        operation_id: of that entry, to know it again.
        time: of that entry, ms since 1970.
    """

    position: Position
    log: str
    operation_id: str
    time: int


class Store(Protocol):
    """The records of every collection, addressed by the collection's internal id.

    Laws, held by every adapter (`tests/contract/store_laws.py`):

    - A read sees everything up to any applied position that `applied` returned before it began.
    - A conditional write takes effect only where the stored fence is lower (or there is no record)
      and the record is not parked: a worker that lost its partition writes nothing.
    - Dead letters stay until they are removed, or their collection is.
    - The applied position never goes back.
    - What is read is what was written, byte by byte of `data`'s canonical form.
    - Tombstones and expired records are states like others: hiding them is the reader's part,
      except in `scan` and what counts, which leave them out.

    - A read takes no longer than its `time_s`: it is given up then, on the server too, and raises
      `DeadlineExceeded`; one that has no time left asks nothing. None leaves it to the adapter's
      own limit.

    Every method raises `Unavailable` (`store_unavailable`) where the store cannot do it for the
    moment; repeating it is then safe.
    """

    async def applied(self, time_s: float | None = None) -> Mapping[Partition, Applied]: ...

    async def get(
        self, collection_id: str, record_ids: Sequence[str], time_s: float | None = None
    ) -> dict[str, State]:
        """The states of those that have one, tombstones included, with data, without marks."""
        ...

    async def scan(
        self, collection_id: str, scan: Scan, limit: int, now: int, time_s: float
    ) -> list[State]:
        """The first records that a scan finds, in its order.

        Args:
            collection_id: whose.
            scan: where they are.
            limit: at most so many.
            now: ms since 1970; hides what has expired by then.
            time_s: seconds after which it is given up.

        Raises `Unavailable` where an index is not there.
        """
        ...

    async def count(
        self,
        collection_id: str,
        scans: Sequence[Scan],
        filter_: Filter | None,
        most: int,
        now: int,
        time_s: float,
    ) -> int:
        """How many records there are for which a filter holds; `most` stands for that or more.

        The arguments are as for `aggregate`.
        """
        ...

    async def estimate(self, collection_id: str, time_s: float | None = None) -> int:
        """About how many records there are, tombstones among them; costs no more with more."""
        ...

    async def aggregate(
        self,
        collection_id: str,
        scans: Sequence[Scan],
        filter_: Filter | None,
        wanted: Aggregation,
        now: int,
        time_s: float,
    ) -> list[Group]:
        """Groups of the records for which a filter holds.

        Args:
            collection_id: whose.
            scans: what finds them, none of them twice: one way to do it.
            filter_: None for all records.
            wanted: the groups, and what is worked out.
            now: as for `scan`.
            time_s: likewise.
        """
        ...

    async def indexes(
        self, collection_id: str, time_s: float | None = None
    ) -> Mapping[str, IndexState]:
        """The indexes that there are, or are being made, by name."""
        ...

    async def build(self, collection_id: str, index: Index) -> None:
        """Make an index, however long it takes, while records are read and written.

        Where a record does not fit in it, that is noted, and it is not made. One that is there
        already is left as it is.
        """
        ...

    async def unbuild(self, collection_id: str, name: str) -> None:
        """Remove an index, or the note that it does not fit."""
        ...

    async def outcome(self, position: Position, time_s: float | None = None) -> Outcome | None:
        """The outcome kept for a position: None for `applied`, for not yet, for no longer kept."""
        ...

    async def mark(
        self, collection_id: str, record_id: str, operation_id: str, time_s: float | None = None
    ) -> Mark | None:
        """What is remembered of an operation on a record, spilled ones included."""
        ...

    async def letters(
        self,
        collection_id: str | None,
        record_id: str | None,
        after: Position | None,
        limit: int,
        time_s: float | None = None,
    ) -> list[Letter]:
        """Dead letters by position, at most `limit`.

        Args:
            collection_id: whose; None for all.
            record_id: of this record of it alone; None for all.
            after: only positions above this one.
            limit: at most so many.
            time_s: see the class.
        """
        ...

    async def letter(self, position: Position) -> Letter | None:
        """The dead letter of the entry at `position`."""
        ...

    def batch(self) -> AbstractAsyncContextManager[StoreBatch]:
        """Apply one slice of the log: see `StoreBatch`."""
        ...

    async def remove(self, collection_id: str) -> None:
        """Remove all of a collection, dead letters too, for good. Repeating it does nothing."""
        ...

    async def sweep(self, now: int, outcomes_before: int) -> int:
        """Remove states with `gc_at` up to `now`, and outcomes older than `outcomes_before`.

        Both in ms since 1970. Returns how many went; adapters whose servers do it return 0.
        """
        ...

    async def settle(self) -> None:
        """Make everything applied so far survive the machine: after it, the log may be trimmed."""
        ...

    async def close(self) -> None: ...


class StoreBatch(Protocol):
    """The writes of one batch, in their order; each step may be repeated.

    An adapter with transactions makes all of it one, committed when the context is left without an
    exception; another keeps the order: outcomes before the records that they are about, and the
    applied positions last.
    """

    async def load(
        self, collection_id: str, record_ids: Collection[str], with_data: Collection[str]
    ) -> dict[str, State]:
        """The states of those that have one, with marks; `data` is UNSET but for `with_data`."""
        ...

    async def spilled(
        self, collection_id: str, operations: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Mark]:
        """Those of the (record id, operation id) pairs that the side collection remembers."""
        ...

    async def spill(self, collection_id: str, marks: Sequence[tuple[str, Mark, int]]) -> None:
        """Remember (record id, mark, until) on the side; `until` in ms since 1970."""
        ...

    async def insert(self, collection_id: str, states: Sequence[State]) -> list[str]:
        """Write states of records believed new; returns the ids that existed: not written."""
        ...

    async def replace(self, collection_id: str, states: Sequence[State]) -> list[str]:
        """Write states, each conditional on a lower stored fence; returns the ids not written.

        One that stands with the very fence given may be left out of them: it was our own retry.
        Where `data` is UNSET, the stored data stays.
        """
        ...

    async def swap(self, collection_id: str, before: State | None, after: State) -> bool:
        """Write `after` where `fence`, `parked` and `parked_to` stand as `before` has them.

        None stands for no record. Where `data` is UNSET, the stored data stays. Returns whether it
        was written.
        """
        ...

    async def put_aside(self, letters: Sequence[Letter]) -> None:
        """Keep dead letters; one for the same position gives way."""
        ...

    async def remove_letters(self, positions: Sequence[Position]) -> None:
        """Remove dead letters, for good."""
        ...

    async def conclude(
        self, outcomes: Sequence[Outcome], applied: Mapping[Partition, Applied]
    ) -> None:
        """Write the outcomes, then move the applied positions (never back). May come repeatedly."""
        ...
