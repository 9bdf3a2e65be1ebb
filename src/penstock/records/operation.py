"""What a write asks for, and how it stands in the log."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from penstock.records.position import Position

CLIENT_RETENTION_MS: Final = 24 * 3600 * 1000
"""How long, in broker time, the operation ids that stem from clients' keys are remembered."""

OWN_RETENTION_MS: Final = 10 * 60 * 1000
"""How long our own are: longer than any retry between our own services goes on."""

_CLIENT: Final = "k"
_OWN: Final = "p"


class Kind(IntEnum):
    """The four operations. The numbers are stored: never renumber."""

    CREATE = 1
    PUT = 2
    PATCH = 3
    DELETE = 4

    @property
    def word(self) -> str:
        return self.name.lower()


class Operation(msgspec.Struct, array_like=True, gc=False, omit_defaults=True):
    """A write, as it goes into the log. The field order is the stored order: only add at the end.

    Attributes:
        kind: create, put, patch or delete.
        tenant: whose it is.
        collection_id: the internal id of the collection, not its name.
        record_id: the record's id.
        operation_id: the same for every repetition of the same write; see `client_operation_id`.
        data: canonical JSON: the record (create, put), the patch (patch), nothing (delete).
        revision: the revision of the collection's settings it was accepted under.
        if_match: the version that the record must be at; "*" for any that exists.
        if_absent: the record must not exist (If-None-Match: *).
        trace: the `traceparent` (W3C Trace Context) of its append, where that was traced.
    """

    kind: int
    tenant: str
    collection_id: str
    record_id: str
    operation_id: str
    data: bytes = b""
    revision: int = 1
    if_match: str | None = None
    if_absent: bool = False
    trace: str = ""

    @property
    def key(self) -> str:
        """The log key: what decides the partition, and so the order."""
        return f"{self.collection_id}/{self.record_id}"


class Entry(msgspec.Struct, gc=False):
    """An operation in the log, at its position, with the broker's time in ms since 1970."""

    position: Position
    time: int
    operation: Operation


class Unreadable(Entry, gc=False):
    """What stands in the log and is no entry of ours. Its operation is of no collection.

    Attributes:
        raw: the message, as MessagePack: key, value, headers.
        reason: what is wrong with it.
    """

    raw: bytes
    reason: str


def client_operation_id(tenant: str, collection_id: str, key: str) -> str:
    """The operation id of a request with an Idempotency-Key."""
    text = f"{tenant}\x00{collection_id}\x00{key}"
    return _CLIENT + hashlib.blake2b(text.encode(), digest_size=15, person=b"operation").hexdigest()


def own_operation_id(random_bits: int) -> str:
    """An operation id born here, from 80 random bits."""
    return f"{_OWN}{random_bits:020x}"


class Birth(NamedTuple):
    """What a write gets in the first process that sees it, and keeps however often it is passed on.

    Attributes:
        operation_id: of the write, unless it has an Idempotency-Key: then it tells whether the one
            that is in flight under that key is this very one.
        record_id: of the record, where it is a create without one.
    """

    operation_id: str
    record_id: str


def line_operation_id(bulk: str, line: int) -> str:
    """The operation id of a line (from 0) of a bulk, from that of the bulk."""
    return f"{bulk}.{line}"


def retention_ms(operation_id: str) -> int:
    """How long after its entry's time an operation id is remembered, in ms."""
    return CLIENT_RETENTION_MS if operation_id.startswith(_CLIENT) else OWN_RETENTION_MS
