"""A single write: from its bytes to its receipt."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from penstock.errors import PenstockError
from penstock.ingest.backlog import Backlog
from penstock.ingest.bulk import Bulk, BulkPace
from penstock.ingest.document import canonical
from penstock.ingest.idempotency import Idempotency
from penstock.ingest.lines import Lines
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy
from penstock.ports.log import Log
from penstock.records.collection import Target
from penstock.records.document import decode
from penstock.records.identifier import check_record_id, new_record_id, record_id_of_key
from penstock.records.operation import (
    Birth,
    Kind,
    Operation,
    client_operation_id,
    own_operation_id,
)
from penstock.records.position import Position
from penstock.records.receipt import Receipt, Receipts

_BIRTH_BITS: Final = 80


class Write(msgspec.Struct, frozen=True):
    """What a client asks for.

    Attributes:
        kind: the operation.
        record_id: None for a create with an id of our making.
        body: JSON as received; empty for a delete.
        key: the Idempotency-Key, if there was one.
        if_match: a version, or "*" for any.
        if_absent: If-None-Match: *.
        birth: where another process has passed it on, what it was given there.
    """

    kind: Kind
    record_id: str | None
    body: bytes
    key: str | None = None
    if_match: str | None = None
    if_absent: bool = False
    birth: Birth | None = None


class Accepted(NamedTuple):
    """A durable write."""

    record_id: str
    receipt: str
    position: Position
    operation_id: str


class Ingest:
    """Accepts writes into the log."""

    def __init__(
        self,
        log: Log,
        backlog: Backlog,
        idempotency: Idempotency,
        receipts: Receipts,
        clock: Clock,
        entropy: Entropy,
        record_bytes: int,
        pace: BulkPace,
    ) -> None:
        self._log = log
        self._backlog = backlog
        self._idempotency = idempotency
        self._receipts = receipts
        self._clock = clock
        self._entropy = entropy
        self._record_bytes = record_bytes
        self._pace = pace

    async def write(self, target: Target, write: Write, deadline: float) -> Accepted:
        """Make a write durable.

        Args:
            target: the collection.
            write: what is asked for.
            deadline: monotonic seconds; nothing is appended after it.

        Raises `Malformed`, `Invalid` (nothing was written), `Unavailable` (likewise, but for
        `OutcomeUnknown`), `Conflict` (`idempotency_in_flight`).
        """
        born = write.birth or self.birth(write.kind)
        if write.key is None:
            return await self._append(self._operation(target, write, born), deadline)
        operation_id = client_operation_id(target.tenant, target.collection.id, write.key)
        by_key = Birth(operation_id, record_id_of_key(operation_id))
        operation = self._operation(target, write, by_key)
        request, attempt = _request(write), born.operation_id
        async with self._idempotency.once(operation_id, request, attempt, deadline) as once:
            if once.finished is not None:
                return Accepted(*once.finished)
            accepted = await self._append(operation, deadline)
            once.finished = accepted
            return accepted

    def birth(self, kind: Kind | None = None) -> Birth:
        """Of a write, or a bulk (None), that this process is the first to see."""
        bits = self._entropy.bits
        creates = kind is Kind.CREATE
        record_id = new_record_id(self._clock.now(), bits(_BIRTH_BITS)) if creates else ""
        return Birth(own_operation_id(bits(_BIRTH_BITS)), record_id)

    def bulk(self, target: Target, key: str | None, born: Birth | None = None) -> Bulk:
        """A stream of writes.

        Args:
            target: the collection.
            key: the Idempotency-Key, which covers each line by its number.
            born: as in `Write`.
        """
        if key is None:
            operation_id = (born or self.birth()).operation_id
        else:
            operation_id = client_operation_id(target.tenant, target.collection.id, key)
        return Bulk(
            self._log,
            self._backlog,
            self._receipts,
            self._clock,
            target,
            Lines(target, operation_id, self._record_bytes),
            self._pace,
        )

    def _operation(self, target: Target, write: Write, born: Birth) -> Operation:
        data = b""
        if write.kind is not Kind.DELETE:
            data = canonical(decode(write.body), write.kind, target, self._record_bytes)
        given = write.record_id
        return Operation(
            int(write.kind),
            target.tenant,
            target.collection.id,
            born.record_id if given is None else check_record_id(given),
            born.operation_id,
            data,
            target.collection.revision,
            write.if_match,
            write.if_absent,
        )

    async def _append(self, operation: Operation, deadline: float) -> Accepted:
        self._backlog.admit()
        (answer,) = await self._log.append((operation,), deadline)
        if isinstance(answer, PenstockError):
            raise answer
        self._backlog.appended(answer)
        receipt = Receipt(
            operation.tenant,
            operation.collection_id,
            operation.record_id,
            operation.operation_id,
            (answer,),
            self._clock.now(),
        )
        return Accepted(
            operation.record_id, self._receipts.sign(receipt), answer, operation.operation_id
        )


def _request(write: Write) -> bytes:
    """What makes two requests the same, but for their key."""
    return msgspec.msgpack.encode(
        (int(write.kind), write.record_id, write.if_match, write.if_absent, write.body)
    )
