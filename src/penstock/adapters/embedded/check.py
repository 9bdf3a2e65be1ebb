"""The check of a data directory, and of the disk that it is on."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from statistics import median
from typing import Final

import apsw

from penstock.adapters.embedded.database import connect, query, transaction
from penstock.ports.check import Finding, failure, ok, warning
from penstock.ports.clock import Clock

_MIB: Final = 1024 * 1024
_LITTLE_BYTES: Final = 1024 * _MIB
_TOO_LITTLE_BYTES: Final = 64 * _MIB
_COMMITS: Final = 20
_SLOW_MS: Final = 50
_TOLERATED_MS: Final = 1_000


class EmbeddedCheck:
    """`ports.check.Check` of the engines that keep files in a data directory.

    Where it is not there yet, what is tried is tried where it would be made.

    Args:
        path: of the directory.
        clock: that of this machine: here, the log's time is its time.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    async def findings(self) -> AsyncGenerator[Finding, None]:
        place = next(one for one in (self._path, *self._path.absolute().parents) if one.exists())
        yield self._directory(place)
        yield ok("SQLite", apsw.sqlite_lib_version())
        try:
            yield _space(place)
            with tempfile.TemporaryDirectory(prefix=".penstock-check-", dir=place) as scratch:
                yield await asyncio.to_thread(self._commits, Path(scratch) / "trial.db")
        except (OSError, apsw.Error) as error:
            problem = "Make it writable for this user, or set PENSTOCK_DATA to another directory."
            yield failure("writing", str(error), problem)
        if place == self._path:
            yield self._time()

    def _directory(self, place: Path) -> Finding:
        """Whether it is there, and free."""
        if place != self._path:
            return ok("data directory", f"{self._path} is not there yet; the first start makes it")
        if _is_held(self._path / "lock"):
            problem = "That is so while it runs; a second process on these data would not start."
            return warning("data directory", f"{self._path} is in use by a process", problem)
        return ok("data directory", str(self._path))

    def _commits(self, path: Path) -> Finding:
        """Commit as the log does, with a synchronisation each."""
        connection = connect(path, "FULL")
        try:
            ((mode,),) = query(connection, "PRAGMA journal_mode")
            if mode != "wal":
                problem = "The file system cannot share memory between processes: use a local disk."
                return failure("writing", f"SQLite's journal is {mode}", problem)
            connection.execute("CREATE TABLE trial(number INTEGER)")
            taken_ms = median(self._times(connection)) * 1000
        finally:
            connection.close()
        found = f"a commit, with the disk's synchronisation, takes {taken_ms:.1f} ms"
        if taken_ms > _SLOW_MS:
            return warning("writing", found, "Every write waits for that: use a faster disk.")
        return ok("writing", found)

    def _times(self, connection: apsw.Connection) -> Iterator[float]:
        for number in range(_COMMITS):
            start = self._clock.monotonic()
            with transaction(connection):
                connection.execute("INSERT INTO trial VALUES(?)", (number,))
            yield self._clock.monotonic() - start

    def _time(self) -> Finding:
        """Whether anything was written later than now."""
        written = [int(one.stat().st_mtime * 1000) for one in self._path.glob("*.db*")]
        ahead = max(written, default=0) - self._clock.now()
        if ahead > _TOLERATED_MS:
            found = f"the data were written {ahead} ms later than now"
            problem = "Records expire too late: set the machine's clock, or have it follow NTP."
            return warning("clock", found, problem)
        return ok("clock", "nothing was written later than now")


def _is_held(lock: Path) -> bool:
    """Whether a process has locked the directory, as `directory.DataDirectory` does."""
    try:
        handle = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _space(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    found = f"{free // _MIB} MiB free"
    if free < _TOO_LITTLE_BYTES:
        return failure("space", found, "Writes are about to be refused: make room.")
    if free < _LITTLE_BYTES:
        return warning("space", found, "Writes are refused when it is used up: make room.")
    return ok("space", found)
