"""How a batch of entries stands in a row of the log."""

from __future__ import annotations

from typing import Final

import msgspec

from penstock.records.operation import Entry, Operation
from penstock.records.position import Partition, Position, prefix

_decode: Final = msgspec.msgpack.Decoder(list[Operation]).decode


def position_prefix(partition: Partition) -> str:
    return prefix(partition.generation, partition.number)


def decode_batch(
    position_prefix: str, last_offset: int, count: int, time: int, entries: bytes
) -> list[Entry]:
    """The entries of a row, in order."""
    first = last_offset - count + 1
    return [
        Entry(Position(position_prefix + f"{offset:016x}"), time, operation)
        for offset, operation in enumerate(_decode(entries), first)
    ]
