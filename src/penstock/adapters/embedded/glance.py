"""Looking into a data directory that a process may have in use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import apsw

from penstock.adapters.embedded.database import log_errors, query, store_errors
from penstock.adapters.embedded.rows import PARTITION, decode_batch
from penstock.errors import ConfigurationError
from penstock.ports.log import Bounds
from penstock.ports.store import Applied
from penstock.records.operation import Entry
from penstock.records.position import Partition, Position, parse, partition_of


class Glance:
    """How far the log and the store there are, without a lock, and without changing anything.

    Raises `ConfigurationError` where there is no data directory.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._log, self._store = (_reader(folder / name) for name in ("log.db", "store.db"))
        except apsw.Error as error:
            raise ConfigurationError(f"There are no data in {folder}: {error}.") from error

    async def bounds(self) -> Mapping[Partition, Bounds]:
        with log_errors():
            given = query(self._log, "SELECT seq FROM sqlite_sequence WHERE name = 'batches'")
            first = query(
                self._log,
                "SELECT last_offset - count + 1 FROM batches ORDER BY last_offset LIMIT 1",
            )
        end = given[0][0] + 1 if given else 0
        return {PARTITION: Bounds(first[0][0] if first else end, end)}

    async def entry(self, position: Position) -> Entry | None:
        with log_errors():
            rows = query(
                self._log,
                "SELECT last_offset, count, time, entries FROM batches WHERE last_offset >= ?"
                " ORDER BY last_offset LIMIT 1",
                (parse(position).offset,),
            )
        entries = decode_batch(*rows[0]) if rows else []
        return next((entry for entry in entries if entry.position == position), None)

    async def applied(self) -> Mapping[Partition, Applied]:
        with store_errors():
            rows = query(self._store, "SELECT position, log, operation_id, time FROM applied")
        return {partition_of(row[0]): Applied(*row) for row in rows}

    def close(self) -> None:
        self._log.close()
        self._store.close()


def _reader(path: Path) -> apsw.Connection:
    # Not read-only: the file that readers and writers of a database share has to be there.
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.execute("PRAGMA query_only = ON")
    return connection
