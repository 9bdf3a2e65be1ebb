"""The store in one SQLite file: records, outcomes and the applied position, in one transaction.

Commits are synchronised at checkpoints only: the log is what is durable, and what a power cut takes
from the store is applied again, since the applied position goes with the data. Each thread reads on
a connection of its own, on the spot: a point read takes microseconds, a hop to another thread more.
What writes does so in turn: the worker's batches, and now and then another thread's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import apsw
import msgspec

from penstock.adapters.embedded import indexing, letters, states
from penstock.adapters.embedded.database import (
    Readers,
    check_time,
    checkpoint,
    connect,
    query,
    store_errors,
    transaction,
)
from penstock.adapters.embedded.indexing import Indexing
from penstock.adapters.embedded.search import Search
from penstock.ports.clock import Clock
from penstock.ports.store import Applied
from penstock.records.letter import Letter
from penstock.records.outcome import Outcome
from penstock.records.position import Partition, Position, partition_of
from penstock.records.record import Mark, State

_CHECKPOINT_PAGES: Final = 4_000
_SWEPT: Final = 2_000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS applied(
    partition TEXT PRIMARY KEY,
    position TEXT NOT NULL,
    log TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    time INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS outcomes(
    position TEXT PRIMARY KEY,
    time INTEGER NOT NULL,
    outcome BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outcomes_time ON outcomes(time);
CREATE TABLE IF NOT EXISTS spilled(
    collection_id TEXT NOT NULL,
    record_id TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    mark BLOB NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (collection_id, record_id, operation_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spilled_until ON spilled(until);
"""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_outcome: Final = msgspec.msgpack.Decoder(Outcome).decode
_decode_mark: Final = msgspec.msgpack.Decoder(Mark).decode


class EmbeddedStore:
    """`ports.store.Store` on one file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._writer = connect(path, "NORMAL")
        self._writer.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        with transaction(self._writer):
            self._writer.execute(_SCHEMA + letters.SCHEMA + indexing.SCHEMA)
        self._turn = threading.Lock()
        self._readers = Readers(path)
        self._tables = states.tables(self._writer)
        search = Search(self._readers, self._has, clock)
        self.scan, self.count = search.scan, search.count
        self.estimate, self.aggregate = search.estimate, search.aggregate
        indexes = Indexing(self._readers, self._writing)
        self.indexes, self.build, self.unbuild = indexes.indexes, indexes.build, indexes.unbuild

    async def applied(self, time_s: float | None = None) -> Mapping[Partition, Applied]:
        check_time(time_s)
        with store_errors():
            rows = query(
                self._readers.connection, "SELECT position, log, operation_id, time FROM applied"
            )
        return {partition_of(row[0]): Applied(*row) for row in rows}

    async def get(
        self, collection_id: str, record_ids: Sequence[str], time_s: float | None = None
    ) -> dict[str, State]:
        check_time(time_s)
        table = states.table_of(collection_id)
        with store_errors():
            if not self._has(table):
                return {}
            rows = states.read(self._readers.connection, table, record_ids, marks=False, data=True)
        return {row.id: states.state_of(row, data=True) for row in rows}

    async def outcome(self, position: Position, time_s: float | None = None) -> Outcome | None:
        check_time(time_s)
        with store_errors():
            rows = query(
                self._readers.connection,
                "SELECT outcome FROM outcomes WHERE position = ?",
                (position,),
            )
        return _decode_outcome(rows[0][0]) if rows else None

    async def mark(
        self, collection_id: str, record_id: str, operation_id: str, time_s: float | None = None
    ) -> Mark | None:
        check_time(time_s)
        table = states.table_of(collection_id)
        with store_errors():
            if not self._has(table):
                return None
            connection = self._readers.connection
            rows = states.read(connection, table, [record_id], marks=True, data=False)
            marks = states.state_of(rows[0], data=False).marks if rows else ()
            for mark in marks:
                if mark.operation_id == operation_id:
                    return mark
            asked = [(record_id, operation_id)]
            return _spilled(connection, collection_id, asked).get(asked[0])

    async def letters(
        self,
        collection_id: str | None,
        record_id: str | None,
        after: Position | None,
        limit: int,
        time_s: float | None = None,
    ) -> list[Letter]:
        check_time(time_s)
        with store_errors():
            return letters.read(self._readers.connection, collection_id, record_id, after, limit)

    async def letter(self, position: Position) -> Letter | None:
        with store_errors():
            return letters.read_one(self._readers.connection, position)

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[EmbeddedBatch]:
        async with self._writing() as writer:
            batch = EmbeddedBatch(writer, self._tables)
            yield batch
        self._tables |= batch.created

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[apsw.Connection]:
        """A transaction, when it is this thread's turn."""
        if not self._turn.acquire(blocking=False):
            await asyncio.to_thread(self._turn.acquire)
        try:
            with store_errors(), transaction(self._writer):
                yield self._writer
        finally:
            self._turn.release()

    async def remove(self, collection_id: str) -> None:
        table = states.table_of(collection_id)
        self._tables.discard(table)
        async with self._writing() as writer:
            writer.execute(f"DROP TABLE IF EXISTS {table}")
            writer.execute("DELETE FROM spilled WHERE collection_id = ?", (collection_id,))
            letters.remove_all(writer, collection_id)
            indexing.remove_all(writer, table)

    async def sweep(self, now: int, outcomes_before: int) -> int:
        gone = 0
        async with self._writing() as writer:
            for table in states.tables(writer):
                writer.execute(
                    f"DELETE FROM {table} WHERE number IN (SELECT number FROM {table}"
                    " WHERE gc_at <= ? LIMIT ?)",
                    (now, _SWEPT),
                )
                gone += writer.changes()
            for statement, limit in (
                ("DELETE FROM outcomes WHERE time < ?", outcomes_before),
                ("DELETE FROM spilled WHERE until < ?", now),
            ):
                writer.execute(statement, (limit,))
                gone += writer.changes()
        return gone

    async def settle(self) -> None:
        with store_errors():
            checkpoint(self._writer, "FULL")

    def _has(self, table: str) -> bool:
        """Whether the table is there.

        A new one is noted here after its batch is committed; by then another thread may have read
        the position that the batch moved.
        """
        return table in self._tables or states.has_table(self._readers.connection, table)

    async def close(self) -> None:
        self._readers.close()
        self._writer.close(force=True)


class EmbeddedBatch:
    """`ports.store.StoreBatch` as one transaction.

    Attributes:
        created: the tables that it made.
    """

    def __init__(self, connection: apsw.Connection, tables: set[str]) -> None:
        self._connection = connection
        self._tables = tables
        self.created: set[str] = set()

    async def load(
        self, collection_id: str, record_ids: Collection[str], with_data: Collection[str]
    ) -> dict[str, State]:
        loaded: dict[str, State] = {}
        with store_errors():
            table = self._table(collection_id)
            for data in (False, True):
                asked = with_data if data else [one for one in record_ids if one not in with_data]
                if asked:
                    rows = states.read(self._connection, table, asked, marks=True, data=data)
                    loaded |= {row.id: states.state_of(row, data=data) for row in rows}
        return loaded

    async def spilled(
        self, collection_id: str, operations: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Mark]:
        with store_errors():
            return _spilled(self._connection, collection_id, operations)

    async def spill(self, collection_id: str, marks: Sequence[tuple[str, Mark, int]]) -> None:
        with store_errors():
            self._connection.executemany(
                "INSERT OR REPLACE INTO spilled VALUES (?, ?, ?, ?, ?)",
                (
                    (collection_id, record_id, mark.operation_id, _encode(mark), until)
                    for record_id, mark, until in marks
                ),
            )

    async def insert(self, collection_id: str, new: Sequence[State]) -> list[str]:
        with store_errors():
            return states.insert(self._connection, self._table(collection_id), new)

    async def replace(self, collection_id: str, changed: Sequence[State]) -> list[str]:
        with store_errors():
            return states.replace(self._connection, self._table(collection_id), changed)

    async def swap(self, collection_id: str, before: State | None, after: State) -> bool:
        with store_errors():
            table = self._table(collection_id)
            if before is None:
                return not states.insert(self._connection, table, [after])
            return states.swap(self._connection, table, before, after)

    async def put_aside(self, aside: Sequence[Letter]) -> None:
        with store_errors():
            letters.put(self._connection, aside)

    async def remove_letters(self, positions: Sequence[Position]) -> None:
        with store_errors():
            letters.remove(self._connection, positions)

    async def conclude(
        self, outcomes: Sequence[Outcome], applied: Mapping[Partition, Applied]
    ) -> None:
        with store_errors():
            self._connection.executemany(
                "INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?)",
                ((one.position, one.time, _encode(one)) for one in outcomes),
            )
            self._connection.executemany(
                "INSERT INTO applied VALUES (?, ?, ?, ?, ?) ON CONFLICT(partition) DO UPDATE SET"
                " position = excluded.position, log = excluded.log,"
                " operation_id = excluded.operation_id, time = excluded.time"
                " WHERE excluded.position > position",
                (
                    (one.position[:8], one.position, one.log, one.operation_id, one.time)
                    for one in applied.values()
                ),
            )

    def _table(self, collection_id: str) -> str:
        table = states.table_of(collection_id)
        if table not in self._tables and table not in self.created:
            states.create_table(self._connection, table)
            self.created.add(table)
        return table


def _spilled(
    connection: apsw.Connection, collection_id: str, operations: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Mark]:
    found: dict[tuple[str, str], Mark] = {}
    for record_id, operation_id in operations:
        rows = query(
            connection,
            "SELECT mark FROM spilled"
            " WHERE collection_id = ? AND record_id = ? AND operation_id = ?",
            (collection_id, record_id, operation_id),
        )
        if rows:
            found[record_id, operation_id] = _decode_mark(rows[0][0])
    return found
