"""The log in one SQLite file: a row is a batch of entries, a commit is an fsync.

Appends of one turn of an event loop are handed over together. One thread writes: it takes all that
are waiting, writes them as one row, commits, and answers them together; while it waits for the
disk, the next ones gather. A row's key is the offset of its last entry, declared AUTOINCREMENT:
SQLite remembers the largest ever given, so that offsets never restart, whatever is trimmed.

What a commit that fails means: when the disk is full, the commit record was not written, the
transaction is rolled back, and the appends are refused. After an I/O error it may have been
written and not be durable, so they are answered `OutcomeUnknown`; then the file is opened anew, and
nothing is taken until a full checkpoint (with fsync) has made certain what the log holds.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import apsw

from penstock.adapters.embedded.consumer import EmbeddedConsumer, Wake
from penstock.adapters.embedded.database import (
    Readers,
    checkpoint,
    connect,
    log_errors,
    query,
    transaction,
)
from penstock.adapters.embedded.rows import PARTITION, decode_batch, encode_batch
from penstock.adapters.embedded.tail import Batch, Tail
from penstock.adapters.embedded.waiting import Answer, Append, Item, Trim, closed_error, tell
from penstock.errors import DeadlineExceeded, OutcomeUnknown, PenstockError, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy
from penstock.ports.log import Appended, Assign, Bounds
from penstock.records.operation import Entry, Operation
from penstock.records.position import Partition, Position, parse, positions
from penstock.telemetry.logs import logger

_GROUP_BYTES: Final = 8 * 1024 * 1024
_OVERHEAD: Final = 1024
"""What an operation counts for beside its data: a group has a bound in number, too."""
_IDENTITY_BITS: Final = 64
_TRIM_ROWS: Final = 500
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batches(
    last_offset INTEGER PRIMARY KEY AUTOINCREMENT,
    count INTEGER NOT NULL,
    time INTEGER NOT NULL,
    entries BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS identity(id TEXT NOT NULL);
"""

_log = logger("log")


class EmbeddedLog:
    """`ports.log.Log` on one file, with one partition.

    Args:
        path: of the file.
        clock: for the entries' times, and deadlines.
        entropy: for the identity of a new log.
        appended: told after each commit how many entries it made durable.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        entropy: Entropy,
        appended: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._appended = appended
        self._clock = clock
        self._connection = connect(path, "FULL")
        self._identity = self._prepare(entropy)
        # A process that was killed may have written what it did not synchronise any more.
        checkpoint(self._connection, "TRUNCATE")
        self._readers = Readers(path)
        self._tail = Tail()
        self._wake = Wake()
        self._gathered: dict[asyncio.AbstractEventLoop, list[Append]] = {}
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._sound = True
        self._closed = False
        self._lock = threading.Lock()
        self._last_offset, self._last_time = self._end()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def identity(self, generation: int) -> str:
        assert generation == PARTITION.generation, "there is one generation"
        return self._identity

    async def append(self, operations: Sequence[Operation], deadline: float) -> list[Appended]:
        loop = asyncio.get_running_loop()
        waiting = Append(operations, deadline, loop)
        gathered = self._gathered.get(loop)
        if gathered is None:
            self._gathered[loop] = [waiting]
            loop.call_soon(self._hand_over, loop)
        else:
            gathered.append(waiting)
        return await waiting.future

    async def bounds(self) -> Mapping[Partition, Bounds]:
        with log_errors():
            rows = query(
                self._readers.connection,
                "SELECT last_offset - count + 1 FROM batches ORDER BY last_offset LIMIT 1",
            )
        end = self._last_offset + 1
        return {PARTITION: Bounds(rows[0][0] if rows else end, end)}

    async def entry(self, position: Position) -> Entry | None:
        with log_errors():
            rows = query(
                self._readers.connection,
                "SELECT last_offset, count, time, entries FROM batches WHERE last_offset >= ?"
                " ORDER BY last_offset LIMIT 1",
                (parse(position).offset,),
            )
        entries = decode_batch(*rows[0]) if rows else []
        return next((entry for entry in entries if entry.position == position), None)

    def consumer(self, assign: Assign) -> EmbeddedConsumer:
        return EmbeddedConsumer(self._readers, self._tail, self._wake, assign)

    async def trim(self, before: Position, older_than: int) -> int:
        trim = Trim(parse(before).offset, older_than)
        if not self._put(trim):
            raise closed_error()
        return await trim.future

    async def close(self) -> None:
        self._hand_over(asyncio.get_running_loop())
        self._put(None)
        await asyncio.to_thread(self._thread.join)
        self._readers.close()
        self._connection.close()

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        gathered = self._gathered.pop(loop, None)
        if gathered and not self._put(gathered):
            self._refuse(gathered, closed_error())

    def _put(self, item: Item) -> bool:
        """Hand to the writer; False once it has its end: nothing behind that would be answered."""
        with self._lock:
            if self._closed:
                return False
            self._closed = item is None
            self._queue.put(item)
            return True

    def _prepare(self, entropy: Entropy) -> str:
        with transaction(self._connection):
            self._connection.execute(_SCHEMA)
            if not query(self._connection, "SELECT 1 FROM identity"):
                fresh = f"{entropy.bits(_IDENTITY_BITS):016x}"
                self._connection.execute("INSERT INTO identity VALUES (?)", (fresh,))
            return str(query(self._connection, "SELECT id FROM identity")[0][0])

    def _end(self) -> tuple[int, int]:
        """The largest offset ever given, and the time of the last batch."""
        given = query(self._connection, "SELECT seq FROM sqlite_sequence WHERE name = 'batches'")
        last = query(self._connection, "SELECT time FROM batches ORDER BY last_offset DESC LIMIT 1")
        return (given[0][0] if given else -1), (last[0][0] if last else 0)

    # What follows runs on the writer's thread.

    def _work(self) -> None:
        while True:
            waiting, item = self._take()
            group = [one for one in waiting if self._is_due(one)]
            if group:
                self._commit(group)
            if isinstance(item, Trim):
                self._trim(item)
            elif item is None:
                return

    def _take(self) -> tuple[list[Append], Item]:
        """The appends that are waiting, as many as one commit should carry, and what came last."""
        waiting: list[Append] = []
        size = 0
        while True:
            try:
                item = self._queue.get(block=not waiting)
            except queue.Empty:
                return waiting, []
            if not isinstance(item, list):
                return waiting, item
            waiting.extend(item)
            size += sum(_OVERHEAD + len(one.data) for append in item for one in append.operations)
            if size >= _GROUP_BYTES:
                return waiting, []

    def _is_due(self, waiting: Append) -> bool:
        """Whether it is still wanted; if not, it is answered, and never written."""
        if waiting.future.cancelled():
            return False
        if waiting.deadline > self._clock.monotonic():
            return True
        self._refuse([waiting], DeadlineExceeded())
        return False

    def _commit(self, group: Sequence[Append]) -> None:
        try:
            self._mend()
            batch = self._write([one for waiting in group for one in waiting.operations])
        except (apsw.FullError, apsw.BusyError, apsw.CantOpenError) as error:
            self._refuse(group, Unavailable("log_unavailable", retry_after=1, internal=str(error)))
        except Exception as error:  # noqa: BLE001  # whatever it was, who waits is answered
            self._sound = False
            self._refuse(group, OutcomeUnknown(repr(error)))
        else:
            self._last_offset, self._last_time = batch.last_offset, batch.time
            self._tail.add(batch)
            self._appended(len(batch.operations))
            self._accept(group, batch.positions)
            self._wake.all()

    def _write(self, operations: Sequence[Operation]) -> Batch:
        count = len(operations)
        last = self._last_offset + count
        now = max(self._clock.now(), self._last_time)
        row = encode_batch(operations)
        # A single statement is a transaction by itself: begin and commit of our own would let go of
        # the interpreter, and have to take it back, three times instead of once.
        query(
            self._connection,
            "INSERT INTO batches VALUES (?, ?, ?, ?)",
            (last, count, now, row),
        )
        given = positions(PARTITION, last - count + 1, count)
        return Batch(last, given, now, operations, len(row))

    def _mend(self) -> None:
        """After an I/O error: make certain what the log holds before anything is taken again."""
        if self._sound:
            return
        try:
            self._connection.close(force=True)
            self._connection = connect(self._path, "FULL")
            checkpoint(self._connection, "TRUNCATE")
            self._last_offset, self._last_time = self._end()
            self._tail.clear()
        except apsw.Error as error:
            raise apsw.CantOpenError(f"the log is not sound yet: {error}") from error
        self._sound = True
        self._wake.all()

    def _trim(self, trim: Trim) -> None:
        """Remove whole batches, some at a time: an append behind must not wait for long."""
        answer: int | PenstockError
        try:
            with log_errors():
                self._mend()
                answer = self._remove(trim.before, trim.older_than)
        except PenstockError as error:
            self._sound = False
            answer = error
        tell([(trim.loop, trim.future, answer)])

    def _remove(self, before: int, older_than: int) -> int:
        with transaction(self._connection):
            counts = query(
                self._connection,
                # Time never falls in a log: where the oldest are young, so are all others, and
                # nobody has to look at them.
                "DELETE FROM batches WHERE last_offset IN (SELECT last_offset FROM"
                " (SELECT last_offset, time FROM batches WHERE last_offset < ?"
                " ORDER BY last_offset LIMIT ?) WHERE time < ?) RETURNING count",
                (before, _TRIM_ROWS, older_than),
            )
        if counts:
            self._tail.clear()
        return sum(row[0] for row in counts)

    def _accept(self, group: Sequence[Append], given: Sequence[Position]) -> None:
        answers: list[Answer] = []
        start = 0
        for waiting in group:
            end = start + len(waiting.operations)
            answers.append((waiting.loop, waiting.future, given[start:end]))
            start = end
        tell(answers)

    def _refuse(self, group: Sequence[Append], error: PenstockError) -> None:
        if error.internal:
            _log.error("not_appended", code=error.code, reason=error.internal)
        tell([(one.loop, one.future, [error] * len(one.operations)) for one in group])
