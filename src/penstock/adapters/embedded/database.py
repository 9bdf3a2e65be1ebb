"""Opening SQLite files, and what their errors mean."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import apsw

from penstock.errors import ConfigurationError, DeadlineExceeded, Unavailable

_BUSY_MS: Final = 2_000
_PAGE_BYTES: Final = 8_192
_SCHEMA_TRIES: Final = 10
_CACHE_KIB: Final = 64 * 1024

_FOR_THE_MOMENT: Final = (
    apsw.FullError,
    apsw.IOError,
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.SchemaChangeError,
)

Synchronous = Literal["FULL", "NORMAL"]


def connect(path: Path, synchronous: Synchronous, cache_kib: int = _CACHE_KIB) -> apsw.Connection:
    """A connection in write-ahead mode.

    Args:
        path: of the file, made where it is not there.
        synchronous: FULL syncs at each commit; NORMAL at checkpoints, so that a power cut may take
            the last commits, but never part of one.
        cache_kib: for pages.
    """
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(_BUSY_MS)
    # Plans are ours. Else SQLite looks at what is bound for them, and plans anew each time.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    return connection


@contextmanager
def opening(folder: Path) -> Iterator[None]:
    """What SQLite cannot open, or finds damaged, is told in a sentence: `ConfigurationError`."""
    try:
        yield
    except apsw.Error as error:
        raise ConfigurationError(f"The data in {folder} cannot be opened: {error}.") from error


class Readers:
    """A connection for each thread that reads: none waits for another, and none for a writer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._opened: list[apsw.Connection] = []
        self._lock = threading.Lock()

    @property
    def connection(self) -> apsw.Connection:
        known: apsw.Connection | None = getattr(self._local, "connection", None)
        if known is None:
            known = self._local.connection = connect(self._path, "NORMAL")
            with self._lock:
                self._opened.append(known)
        return known

    def close(self) -> None:
        with self._lock:
            for connection in self._opened:
                connection.close(force=True)
            self._opened.clear()


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All or nothing. The write lock is taken at once, so that nothing fails half-way for it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def checkpoint(connection: apsw.Connection, mode: Literal["FULL", "TRUNCATE"]) -> None:
    """Synchronise all that was committed. Raises `apsw.BusyError` where a reader is in the way."""
    ((is_busy, _, _),) = query(connection, f"PRAGMA wal_checkpoint({mode})")
    if is_busy:
        raise apsw.BusyError("a reader kept the checkpoint from its end")


@contextmanager
def log_errors() -> Iterator[None]:
    """What SQLite cannot do with the log's file, but to append to it, is `log_unavailable`."""
    try:
        yield
    except apsw.Error as error:
        raise Unavailable("log_unavailable", retry_after=1, internal=str(error)) from error


@contextmanager
def store_errors() -> Iterator[None]:
    """What SQLite cannot do for the moment is `store_unavailable`."""
    try:
        yield
    except _FOR_THE_MOMENT as error:
        raise Unavailable("store_unavailable", retry_after=1, internal=str(error)) from error


def check_time(time_s: float | None) -> None:
    """Raise `DeadlineExceeded` where no time is left.

    For what reads so little that it is done on the spot: nothing could come between.
    """
    if time_s is not None and time_s <= 0:
        raise DeadlineExceeded


def placeholders(rows: int, columns: int) -> str:
    """`(?,?),(?,?)`: the values of so many rows in one statement."""
    return ",".join([f"({','.join('?' * columns)})"] * rows)


def query(
    connection: apsw.Connection, sql: str, bindings: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """All rows of a statement.

    Where others make tables at the same moment, SQLite gives up after some tries, with nothing
    read; and so do we, in the end.
    """
    for _ in range(_SCHEMA_TRIES):
        try:
            return connection.execute(sql, bindings).fetchall()
        except apsw.SchemaChangeError:
            continue
    return connection.execute(sql, bindings).fetchall()
