"""The mark at the end of a sealed generation: the last thing in each of its partitions.

A sealed topic takes nothing as large as an entry, so the mark is a message with nothing but three
bytes. It is appended as any entry is, and so it is there only when all before it are.
"""

from __future__ import annotations

from typing import Final

from confluent_kafka import Message

from penstock.records.operation import Entry, Kind, Operation
from penstock.records.position import Position

END: Final = b"end"


def is_end(message: Message) -> bool:
    return message.key() is None and message.value() == END


def end_entry(message: Message, position: Position) -> Entry:
    """As an entry: of no collection, so that nothing comes of it but a position."""
    _, time = message.timestamp()
    return Entry(position, time, Operation(int(Kind.DELETE), "", "", "", f"end.{position}"))
