"""The end of the log, still in memory: what was just written is not read and decoded again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from penstock.records.operation import Entry, Operation
from penstock.records.position import Position

_MOST_BYTES: Final = 8 * 1024 * 1024


class Batch(NamedTuple):
    """What one commit wrote.

    Attributes:
        last_offset: of its last entry.
        positions: of its entries.
        time: ms since 1970.
        operations: of its entries.
        size: bytes that it takes in the file.
    """

    last_offset: int
    positions: Sequence[Position]
    time: int
    operations: Sequence[Operation]
    size: int

    @property
    def first_offset(self) -> int:
        return self.last_offset - len(self.positions) + 1


class Tail:
    """The last batches, without a gap between them, as far as `_MOST_BYTES` reach.

    Filled by the thread that writes the log, once a batch is durable; emptied by the consumer as it
    goes on. Whatever is not here is in the file.
    """

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, batch: Batch) -> None:
        with self._lock:
            self._batches.append(batch)
            self._bytes += batch.size
            while self._bytes > _MOST_BYTES:
                self._drop_first()

    def clear(self) -> None:
        """Forget all: the file may hold what went past us, or hold some of it no longer."""
        with self._lock:
            self._batches.clear()
            self._bytes = 0

    def beyond(self, offset: int, limit: int) -> list[Entry]:
        """Entries from the batch of `offset + 1` on, whole batches, until `limit` is reached.

        Empty where that batch is not here.
        """
        with self._lock:
            while self._batches and self._batches[0].last_offset <= offset:
                self._drop_first()
            batches = list(self._batches)
        entries: list[Entry] = []
        if batches and batches[0].first_offset <= offset + 1:
            for _, positions, time, operations, _ in batches:
                entries += [
                    Entry(position, time, operation)
                    for position, operation in zip(positions, operations, strict=True)
                ]
                if len(entries) >= limit:
                    break
        return entries

    def _drop_first(self) -> None:
        self._bytes -= self._batches.popleft().size
