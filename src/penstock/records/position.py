"""Where an entry stands in the log.

A position is (generation, partition, offset), written everywhere as one fixed-width text of 24
hexadecimal digits. For entries of one record, text order is log order: a record has one partition
as long as a generation lives, and generations only rise. Text, because the same value is a fence
in SQLite, MongoDB and Redis (whose scripts compare numbers as doubles), a version in JSON (64-bit
numbers do not survive JavaScript) and an ETag, and should look the same in all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import NamedTuple, NewType, cast

Position = NewType("Position", str)

WIDTH = 24
MAX_GENERATION = 0xFFFF
MAX_PARTITION = 0xFFFF


class Parts(NamedTuple):
    generation: int
    partition: int
    offset: int


class Partition(NamedTuple):
    """One partition of one generation of the log."""

    generation: int
    number: int


Reach = Mapping[Partition, Position]
"""How far something reflects the log: the last position in it, by partition."""


def prefix(generation: int, partition: int) -> str:
    """What all positions of one partition begin with: append `"%016x" % offset`."""
    return f"{generation:04x}{partition:04x}"


def position(generation: int, partition: int, offset: int) -> Position:
    return Position(f"{generation:04x}{partition:04x}{offset:016x}")


def positions(partition: Partition, first: int, count: int) -> list[Position]:
    """The positions of so many offsets from `first` on."""
    start = prefix(partition.generation, partition.number)
    run = [f"{start}{offset:016x}" for offset in range(first, first + count)]
    # Naming each one a `Position` would cost a call each.
    return cast("list[Position]", run)


def parse(text: str) -> Parts:
    """The parts of a position. Raises ValueError for anything that is not one."""
    if len(text) != WIDTH or not text.isascii() or text != text.lower():
        raise ValueError(f"not a position: {text[:40]!r}")
    number = bytes.fromhex(text)
    return Parts(
        int.from_bytes(number[:2], "big"),
        int.from_bytes(number[2:4], "big"),
        int.from_bytes(number[4:], "big"),
    )


def partition_of(text: Position) -> Partition:
    parts = parse(text)
    return Partition(parts.generation, parts.partition)


def reaches(reach: Reach, wanted: Position) -> bool:
    """Whether everything up to `wanted`, in its partition, is reflected in `reach`.

    A later generation is only begun when the earlier ones are applied to their end, so any
    position of a later one reaches all of the earlier.
    """
    partition = partition_of(wanted)
    known = reach.get(partition)
    if known is not None and known >= wanted:
        return True
    return any(other.generation > partition.generation for other in reach)


def partition_for(key: str, partitions: int) -> int:
    """The partition of a log key: CRC-32 (the one of zlib and PNG), modulo the count."""
    return zlib.crc32(key.encode()) % partitions
