"""Dead letters: entries that could not be applied, kept for the operator."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from penstock.records.operation import Entry, Operation, Unreadable
from penstock.records.position import Position

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Operation).decode


class Letter(NamedTuple):
    """An entry that was put aside.

    Attributes:
        position, time: of the entry.
        tenant, collection_id, record_id: whose and which; all empty for one that cannot be read.
        content: its operation, as MessagePack; the very bytes of one that cannot be read.
        reason: why it could not be applied: what was raised, in a line.
        behind: the first entry of the record that was put aside, where that is another one.
    """

    position: Position
    time: int
    tenant: str
    collection_id: str
    record_id: str
    content: bytes
    reason: str
    behind: Position | None = None

    @classmethod
    def of(cls, entry: Entry, reason: str, behind: Position | None = None) -> Letter:
        operation = entry.operation
        if isinstance(entry, Unreadable):
            return cls(entry.position, entry.time, "", "", "", entry.raw, entry.reason)
        key = operation.tenant, operation.collection_id, operation.record_id
        return cls(entry.position, entry.time, *key, _encode(operation), reason, behind)

    @property
    def is_readable(self) -> bool:
        return bool(self.collection_id)

    @property
    def entry(self) -> Entry:
        """The entry that it is about, to be folded at its own position."""
        assert self.is_readable
        return Entry(self.position, self.time, _decode(self.content))
