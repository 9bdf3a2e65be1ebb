"""Reading the log's file as the one member of the group of workers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress

from penstock.adapters.embedded.database import Readers, log_errors
from penstock.adapters.embedded.rows import PARTITION, decode_batch
from penstock.adapters.embedded.tail import Tail
from penstock.errors import LogDiverged
from penstock.ports.log import Assign, Slice
from penstock.records.operation import Entry
from penstock.records.position import Partition, Position, parse


class Wake:
    """Wakes the event loops that wait for entries, from the thread that writes them."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()

    def all(self) -> None:
        with self._lock:
            waiting = list(self._waiting.items())
        for event, loop in waiting:
            with suppress(RuntimeError):  # a loop that has ended waits for nothing
                loop.call_soon_threadsafe(event.set)

    def subscribe(self) -> asyncio.Event:
        event = asyncio.Event()
        with self._lock:
            self._waiting[event] = asyncio.get_running_loop()
        return event

    def unsubscribe(self, event: asyncio.Event) -> None:
        with self._lock:
            self._waiting.pop(event, None)


class EmbeddedConsumer:
    """`ports.log.Consumer` of the one partition."""

    def __init__(self, readers: Readers, tail: Tail, wake: Wake, assign: Assign) -> None:
        self._readers = readers
        self._tail = tail
        self._wake = wake
        self._assign = assign
        self._news: asyncio.Event | None = None
        self._offset = -1

    async def poll(self, limit: int, wait_s: float) -> list[Slice]:
        if self._news is None:
            start = await self._assign([PARTITION])
            if PARTITION not in start:
                await asyncio.sleep(wait_s)
                return []
            known = start[PARTITION]
            self._offset = -1 if known is None else parse(known).offset
            self._news = self._wake.subscribe()
        self._news.clear()
        entries = self._read(limit)
        if not entries:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
            entries = self._read(limit)
        return [Slice(PARTITION, entries)] if entries else []

    async def commit(self, reach: Mapping[Partition, Position]) -> None:
        """Nothing to tell: the store's applied position is all there is."""

    async def close(self) -> None:
        if self._news is not None:
            self._wake.unsubscribe(self._news)

    def _read(self, limit: int) -> list[Entry]:
        """Whole batches, until `limit` is reached. A batch is as large as one commit made it."""
        entries = self._tail.beyond(self._offset, limit) or self._from_file(limit)
        if not entries:
            return entries
        # A store that stopped within a batch does not get what it has applied of it again.
        surplus = self._offset + 1 - parse(entries[0].position).offset
        if surplus < 0 <= self._offset:
            raise LogDiverged(f"Offset {self._offset + 1} was removed before it was applied.")
        self._offset = parse(entries[-1].position).offset
        return entries[max(surplus, 0) :]

    def _from_file(self, limit: int) -> list[Entry]:
        entries: list[Entry] = []
        with log_errors():
            for row in self._readers.connection.execute(
                "SELECT last_offset, count, time, entries FROM batches WHERE last_offset > ?"
                " ORDER BY last_offset",
                (self._offset,),
            ):
                entries += decode_batch(*row)
                if len(entries) >= limit:
                    break
        return entries
