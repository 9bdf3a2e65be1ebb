"""The log: where a write becomes durable, and where the worker finds it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from penstock.errors import PenstockError
from penstock.records.operation import Entry, Operation
from penstock.records.position import Partition, Position


class Bounds(NamedTuple):
    """What a partition holds: offsets from `start` up to, not including, `end`.

    The first offset ever given is 0, so a `start` above it tells that entries were removed.
    """

    start: int
    end: int


class Slice(NamedTuple):
    """Consecutive entries of one partition, in order, at least one."""

    partition: Partition
    entries: Sequence[Entry]


Appended = Position | PenstockError


class Log(Protocol):
    """An append-only sequence of entries per partition.

    Laws, held by every adapter (`tests/contract/log_laws.py`):

    - What `append` gives a position for is durable: it survives the death of this process, and
      (the adapter says how) of the machine.
    - Entries of one key are in one partition. If an append was answered before another of the same
      key was called, its position is lower. Positions of a partition only rise, never restart and
      are never given twice, whatever is removed.
    - Of the operations of one append and one record, none is in the log without those before it:
      one that may be missing (`Unavailable`, `OutcomeUnknown`) is followed by no later one.
    - An operation that was refused (`Unavailable`, but `OutcomeUnknown`) is not in the log and
      never will be. `OutcomeUnknown` says neither.
    - Nothing is appended after its deadline.
    - Readers see an entry only when it is durable, and without gaps below it.
    """

    def identity(self, generation: int) -> str:
        """Names this very log: another one, even of the same name, has another identity.

        Args:
            generation: one of which `bounds` has told.
        """
        ...

    async def append(self, operations: Sequence[Operation], deadline: float) -> list[Appended]:
        """Append; one answer per operation, in their order.

        Operations in flight together, from whomever, are made durable together.

        Args:
            operations: at least one; the log keeps their order within a partition.
            deadline: monotonic seconds, after which none of them may be appended any more.
        """
        ...

    async def bounds(self) -> Mapping[Partition, Bounds]:
        """What each partition holds now. Raises `Unavailable`.

        A generation is among them from when it takes entries; the earlier ones take none any more
        from then on, so that their ends are final.
        """
        ...

    async def entry(self, position: Position) -> Entry | None:
        """The entry at a position; None where there is none (any more). Raises `Unavailable`."""
        ...

    def consumer(self, assign: Assign) -> Consumer:
        """A member of the group of workers. Nothing happens before its first `poll`."""
        ...

    async def trim(self, before: Position, older_than: int) -> int:
        """Remove entries below `before` whose time is below `older_than` (ms since 1970).

        Returns how many went. Adapters whose servers do that by themselves return 0.
        """
        ...

    async def close(self) -> None:
        """Finish what was taken, then let go. `append` afterwards answers `Unavailable`."""
        ...


Assign = Callable[[Sequence[Partition]], Awaitable[Mapping[Partition, Position | None]]]
"""Called within `poll` with partitions newly assigned; says after which position each is to be
read (None: from its very start). One that it leaves out is not to be read yet: it is asked about
again, in a later `poll`. What it raises comes out of `poll`, and nothing is read."""


class Consumer(Protocol):
    """Reads the partitions that this member of the group was assigned.

    Laws: each partition's entries come in order, each once between an assignment and a revocation,
    beginning right after the position that `assign` gave. Partitions are only assigned and revoked
    within `poll`, so what one `poll` returned may be finished before the next.
    """

    async def poll(self, limit: int, wait_s: float) -> list[Slice]:
        """Up to about `limit` entries; waits at most `wait_s` seconds for the first.

        Raises `Unavailable` where the log cannot be read for the moment, `LogDiverged` where what
        comes next is gone, or the log is another one: nothing is ever skipped.
        """
        ...

    async def commit(self, reach: Mapping[Partition, Position]) -> None:
        """Tell the log how far the store reflects it: for its own metrics of lag only."""
        ...

    async def close(self) -> None: ...
