"""A slice of a log applied to MongoDB by a process that dies at a chosen command.

Run as `python -m tests.faults.mongodb_slice URL DATABASE COLLECTION_ID SLICE DIES_AFTER`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from pymongo import monitoring
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from tests.support.defect import POISON, a_defect

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.mongodb.catalog import MongoCatalog
from penstock.adapters.mongodb.store import MongoStore
from penstock.apply.aside import Burst
from penstock.apply.fold import Limits
from penstock.apply.persist import Persist
from penstock.apply.rulebook import Rulebook
from penstock.ports.log import Slice
from penstock.records.operation import Entry, Kind, Operation
from penstock.records.position import Partition, position

CATALOG: Final = "mongodb_slice_catalog"
TIME: Final = 2**42
"""In the next century: nothing is due for removal."""
NEW: Final = 700
_BEFORE: Final = 600
_MANY: Final = 50
_PARTITION: Final = Partition(1, 0)
_KEEP_MS: Final = 10**12


class Counting(CommandListener):
    """Counts the commands that the server has carried out."""

    def __init__(self, told: Callable[[int], None] = lambda _: None) -> None:
        self.count = 0
        self._told = told
        self._lock = threading.Lock()

    def started(self, event: CommandStartedEvent) -> None:
        pass

    def succeeded(self, event: CommandSucceededEvent) -> None:
        with self._lock:
            self.count += 1
            self._told(self.count)

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def first(collection_id: str) -> Slice:
    """Records, so that the second slice meets some."""
    return _slice(collection_id, 0, [(Kind.PUT, f"r{n}", {"n": n}, {}) for n in range(_BEFORE)])


def second(collection_id: str) -> Slice:
    """Of everything something: new records, changes, deletions, duplicates, rejections, spills."""
    writes: list[tuple[Kind, str, Any, dict[str, Any]]] = [
        (Kind.PUT, f"new{n}", {"n": n}, {}) for n in range(NEW)
    ]
    for n in range(_BEFORE):
        writes += [
            (Kind.PATCH, f"r{n}", {"patched": True}, {}),
            *([(Kind.DELETE, f"r{n}", None, {})] if n % 5 == 0 else []),
            *([(Kind.CREATE, f"r{n}", {}, {})] if n % 3 == 0 else []),
            *([(Kind.PUT, f"r{n}", {}, {"operation_id": f"p{n}"})] if n % 7 == 0 else []),
        ]
    writes += [(Kind.PATCH, f"absent{n}", {}, {}) for n in range(5)]
    writes += [(Kind.PUT, "many", {"n": n}, {}) for n in range(_MANY)]
    return _slice(collection_id, _BEFORE, writes)


def parking(collection_id: str) -> Slice:
    """What cannot be applied: on a known record and on new ones, with what waits behind it."""
    writes: list[tuple[Kind, str, Any, dict[str, Any]]] = [(Kind.PUT, "sound", {}, {})]
    for record_id in ("r1", "never"):
        writes += [
            *([] if record_id == "never" else [(Kind.PUT, record_id, {"before": True}, {})]),
            (Kind.PUT, record_id, POISON, {}),
            (Kind.PATCH, record_id, {"behind": True}, {}),
        ]
    return _slice(collection_id, _BEFORE, writes)


SLICES: Final = {"of everything something": second, "of what cannot be applied": parking}


def _slice(
    collection_id: str, start: int, writes: list[tuple[Kind, str, Any, dict[str, Any]]]
) -> Slice:
    entries: list[Entry] = []
    for offset, (kind, record_id, value, more) in enumerate(writes, start):
        data = b"" if value is None else json.dumps(value, separators=(",", ":")).encode()
        fields = {"operation_id": f"p{offset}"} | more
        operation = Operation(int(kind), "t", collection_id, record_id, data=data, **fields)
        entries.append(Entry(position(1, 0, offset), TIME, operation))
    return Slice(_PARTITION, entries)


async def apply(url: str, database: str, slice_: Slice) -> None:
    store = MongoStore(url, database)
    catalog = MongoCatalog(url, CATALOG, SystemEntropy())
    limits = Limits(record_bytes=1024, keep_ms=_KEEP_MS)
    try:
        burst = Burst(SystemClock())
        await Persist(store, Rulebook(catalog), limits, burst).slices([slice_], lambda _: "a-log")
    finally:
        await store.close()
        await catalog.close()


def main() -> None:
    url, database, collection_id, which, dies_after = sys.argv[1:]

    def told(count: int) -> None:
        if count >= int(dies_after):
            os.kill(os.getpid(), signal.SIGKILL)

    monitoring.register(Counting(told))
    with a_defect():
        asyncio.run(apply(url, database, SLICES[which](collection_id)))


if __name__ == "__main__":
    main()
