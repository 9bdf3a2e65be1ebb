"""How a batch of entries stands in a row of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from penstock.records.operation import Entry, Operation
from penstock.records.position import Partition, positions

PARTITION: Final = Partition(1, 0)
"""The only one that an embedded log has."""

_decode: Final = msgspec.msgpack.Decoder(list[Operation]).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def encode_batch(operations: Sequence[Operation]) -> bytes:
    return _encode(operations)


def decode_batch(last_offset: int, count: int, time: int, operations: bytes) -> list[Entry]:
    """The entries of a row, in order."""
    return [
        Entry(position, time, operation)
        for position, operation in zip(
            positions(PARTITION, last_offset - count + 1, count), _decode(operations), strict=True
        )
    ]
