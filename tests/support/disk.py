"""A disk that fails when it is told to, under the real SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apsw

_BASE = apsw.vfs_names()[0]
_NAME = "failing"


class Disk(apsw.VFS):
    """The file system of every connection that is opened while it is installed.

    Attributes:
        before_write: called before each write, to raise an error of `apsw`, or to wait.
        before_sync: the same for each synchronisation; what was written stays written.
    """

    def __init__(self) -> None:
        self.before_write: Callable[[], None] = sound
        self.before_sync: Callable[[], None] = sound
        super().__init__(_NAME, _BASE, makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  # SQLite names it
        return _File(self, name, flags)

    def heal(self) -> None:
        self.before_write = self.before_sync = sound


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        super().__init__(_BASE, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # SQLite names it
        self._disk.before_write()
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802  # SQLite names it
        self._disk.before_sync()
        super().xSync(flags)


def sound() -> None:
    """Nothing is wrong."""


def full() -> None:
    raise apsw.FullError("the disk was told to be full")


def broken() -> None:
    raise apsw.IOError("the disk was told to fail")


@contextmanager
def failing_disk() -> Iterator[Disk]:
    """A sound disk, until its attributes say otherwise."""
    disk = Disk()
    try:
        yield disk
    finally:
        disk.unregister()
