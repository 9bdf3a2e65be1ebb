"""The input as a stream of bytes: a file or standard input; plain, gzip or zstd."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, cast

import zstandard

from penstock.cli.exits import Exit, Failed

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_HEAD_BYTES: Final = 64 * 1024
UNREADABLE: Final = (OSError, EOFError, zlib.error, zstandard.ZstdError)
"""What reading raises: of the disk, or where a compressed input is damaged or cut short."""


class _Counted(io.RawIOBase):
    """Passes bytes on, and knows how many."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner = inner
        self.at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)


class Source:
    """An input that is open for reading.

    Attributes:
        path: of the file; None for standard input, which cannot be read twice.
        size: bytes, as stored; None where that is not known.
        stream: the content, unpacked.
    """

    def __init__(self, name: str) -> None:
        """Open a file by its name, `-` for standard input. Raises `Failed`."""
        self.path = None if name == "-" else Path(name)
        self.size: int | None = None
        try:
            self._file = sys.stdin.buffer if self.path is None else self.path.open("rb")
            if self.path is not None:
                self.size = self.path.stat().st_size or None
            self._counted = _Counted(cast("BinaryIO", self._file))
            packed = io.BufferedReader(self._counted, _HEAD_BYTES)
            self.stream = _unpacked(packed)
        except OSError as error:
            raise Failed(f"{name} cannot be read: {error.strerror}", Exit.USAGE) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.path is not None:
            self._file.close()

    @property
    def at(self) -> int:
        """Bytes read so far, as stored."""
        return self._counted.at

    def fingerprint(self) -> str:
        """Changes when the file does, by its size, time and beginning."""
        assert self.path is not None
        stat = self.path.stat()
        with self.path.open("rb") as file:
            head = hashlib.blake2b(file.read(_HEAD_BYTES), digest_size=16)
        return f"{stat.st_size}-{stat.st_mtime_ns}-{head.hexdigest()}"


def is_csv(name: str) -> bool:
    """Whether a file's name says CSV, before what says how it is packed."""
    stem = Path(name)
    while stem.suffix.lower() in (".gz", ".gzip", ".zst", ".zstd"):
        stem = stem.with_suffix("")
    return stem.suffix.lower() == ".csv"


def _unpacked(packed: io.BufferedReader[Any]) -> BinaryIO:
    """Recognised by its first bytes, whatever its name."""
    head = packed.peek(len(_ZSTD))
    if head.startswith(_GZIP):
        return cast("BinaryIO", io.BufferedReader(gzip.GzipFile(fileobj=packed), _HEAD_BYTES))
    if head.startswith(_ZSTD):
        return cast("BinaryIO", io.BufferedReader(_Zstd(packed), _HEAD_BYTES))
    return packed


class _Zstd(io.RawIOBase):
    """Zstd frames, one after another.

    The library's own reader takes an input that is cut short for one that has ended.
    """

    def __init__(self, packed: io.BufferedReader[Any]) -> None:
        self._packed = packed
        self._frame: Any = None
        self._left = b""
        self._out = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._out:
            self._out = memoryview(self._more())
        size = min(len(buffer), len(self._out))
        buffer[:size] = self._out[:size]
        self._out = self._out[size:]
        return size

    def _more(self) -> bytes:
        """What comes next, unpacked; empty at the end. Raises EOFError where a frame is open."""
        while True:
            data = self._left or self._packed.read1(_HEAD_BYTES)
            self._left = b""
            if not data:
                if self._frame is not None:
                    raise EOFError("the last frame has no end")
                return b""
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            out: bytes = self._frame.decompress(data)
            if self._frame.eof:
                self._left = self._frame.unused_data
                self._frame = None
            if out:
                return out
