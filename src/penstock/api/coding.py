"""Content codings: decompression in bounded steps, so that a bomb is refused before it goes off."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

import zstandard

from penstock.api.headers import HeaderMap
from penstock.errors import Malformed, Unsupported

PIECE_BYTES: Final = 256 * 1024
"""Largest piece that gzip is decompressed into."""

_GZIP_WINDOW: Final = 31
_MOST_SMALL_PARTS: Final = 1000
_LEAST_PART_BYTES: Final = 1024
"""On average, of a body in more parts than those: 50,000 empty ones fit into a mebibyte."""
_ZSTD_SLICE: Final = 256
"""Compressed bytes taken at a time. A zstd block of 4 bytes may stand for 128 KiB, so a slice
becomes 8 MiB at the very most; the common one costs 2 microseconds."""
_ZSTD_BUFFER: Final = 16 * 1024
_ZSTD_WINDOW: Final = 8 * 1024 * 1024
"""What RFC 9659 allows as a content coding."""


class Decoder(Protocol):
    """One body's coding. Both raise `Malformed` (`invalid_body`)."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The next compressed bytes, decompressed piece by piece, as far as it is asked for."""
        ...

    def finish(self) -> None:
        """To be called at the end of the body: raises where it was cut short."""
        ...


class _Parts:
    """Counts what a body is made of one after another, each of which costs something to begin."""

    def __init__(self) -> None:
        self._left: float = _MOST_SMALL_PARTS

    def begin(self) -> None:
        """Another one. Raises `Malformed` where they are many, and small."""
        self._left -= 1
        if self._left < 0:
            raise Malformed("invalid_body", "The body is in more, and smaller, parts than it need.")

    def came(self, size: int) -> None:
        self._left += size / _LEAST_PART_BYTES


class Gzip:
    """RFC 1952, members one after another included."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._parts = _Parts()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        more = bool(data)
        while more:
            if self._member.eof:
                self._parts.begin()
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise _corrupt("gzip") from None
            self._parts.came(len(piece))
            data = self._member.unused_data or self._member.unconsumed_tail
            # A full piece may have more behind it, though no input is left.
            more = bool(data) or (len(piece) == PIECE_BYTES and not self._member.eof)
            yield piece

    def finish(self) -> None:
        if not self._member.eof:
            raise _cut_short("gzip")


class Zstd:
    """RFC 8878, frames one after another included."""

    def __init__(self) -> None:
        self._frames = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._begin()
        self._parts = _Parts()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_SLICE):
            part = data[start : start + _ZSTD_SLICE]
            while part:
                if self._frame.eof:
                    self._parts.begin()
                    self._frame = self._begin()
                try:
                    piece = self._frame.decompress(part)
                except zstandard.ZstdError:
                    raise _corrupt("zstd") from None
                self._parts.came(len(piece))
                part = self._frame.unused_data
                yield piece

    def finish(self) -> None:
        if not self._frame.eof:
            raise _cut_short("zstd")

    def _begin(self) -> zstandard.ZstdDecompressionObj:
        return self._frames.decompressobj(write_size=_ZSTD_BUFFER)


def decoder(headers: HeaderMap) -> Decoder | None:
    """What undoes the Content-Encoding; None for identity. Raises `Unsupported`."""
    given = headers.get(b"content-encoding")
    if given is None:
        return None
    coding = given.strip().lower()
    if coding in (b"gzip", b"x-gzip"):
        return Gzip()
    if coding == b"zstd":
        return Zstd()
    if coding in (b"identity", b""):
        return None
    raise Unsupported("unsupported_encoding")


def _corrupt(coding: str) -> Malformed:
    return Malformed("invalid_body", f"The body is not valid {coding}.")


def _cut_short(coding: str) -> Malformed:
    return Malformed("invalid_body", f"The {coding} body ends before its end.")
