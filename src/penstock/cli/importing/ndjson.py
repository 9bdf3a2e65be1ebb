"""NDJSON: a JSON object a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, Final

import msgspec

from penstock.cli.importing.line import Line

_BOM: Final = b"\xef\xbb\xbf"
_MOST_BYTES: Final = 8 * 1024 * 1024
"""Of a line that is kept in memory: well above what a server takes, and below what hurts."""
_KEPT: Final = 1000
"""Bytes that are kept of one that is longer."""

_encode: Final = msgspec.json.Encoder().encode
_check: Final = msgspec.json.Decoder(msgspec.Raw).decode


class _Exported(msgspec.Struct):
    """A record as `export` writes it; what the server makes anew is skipped."""

    id: str
    data: msgspec.Raw


_decode_exported: Final = msgspec.json.Decoder(_Exported).decode

Envelope = Callable[[bytes], bytes]
"""Makes a line of `records:bulk` of a line of the input. Raises ValueError with the reason."""


class NdjsonReader:
    """Reads NDJSON.

    Args:
        stream: the input.
        envelope: what becomes of a line.
    """

    def __init__(self, stream: BinaryIO, envelope: Envelope) -> None:
        self._stream = stream
        self._envelope = envelope

    def lines(self) -> Iterator[Line]:
        envelope = self._envelope
        for number, line in enumerate(iter(partial(self._stream.readline, _MOST_BYTES), b""), 1):
            if len(line) == _MOST_BYTES and not line.endswith(b"\n"):
                self._skip_line()
                yield Line(number, line[:_KEPT], b"", "The line is too long.")
                continue
            text = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
            if not text:
                continue
            try:
                yield Line(number, text, envelope(text))
            except ValueError as error:
                yield Line(number, text, b"", str(error))

    def _skip_line(self) -> None:
        while (more := self._stream.readline(_MOST_BYTES)) and not more.endswith(b"\n"):
            pass


def as_data(text: bytes) -> bytes:
    """The line is the data of a record whose id the server makes.

    It is checked here to be one JSON text: pasted into an envelope, half of one, or two, could
    turn into something else.
    """
    _check(text)
    return b'{"data":%b}' % text


def as_exported(text: bytes) -> bytes:
    """The line is a record as `export` writes it."""
    one = _decode_exported(text)
    return b'{"id":%b,"data":%b}' % (_encode(one.id), bytes(one.data))


def as_data_with_id(field: str) -> Envelope:
    """The line is the data of a record whose id is in a field of it."""
    shape = msgspec.defstruct("Identified", [("id", str | int)], rename={"id": field})
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(shape).decode

    def envelope(text: bytes) -> bytes:
        return b'{"id":%b,"data":%b}' % (_encode(str(decode(text).id)), text)

    return envelope
