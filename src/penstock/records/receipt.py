"""Receipts: what a write returns, and a read may present."""

from __future__ import annotations

import msgspec

from penstock.errors import Malformed
from penstock.records.position import Position
from penstock.records.seal import Seal


class Receipt(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """The claim that these positions of the log hold a tenant's write.

    Attributes:
        tenant: whose it is.
        collection_id: the internal id of the collection.
        record_id: of the record; empty for a bulk, which has many.
        operation_id: of the write; empty for a bulk.
        positions: one for a single write; for a bulk, the last one in each partition it touched.
        time: when it was given, ms since 1970.
    """

    tenant: str
    collection_id: str
    record_id: str
    operation_id: str
    positions: tuple[Position, ...]
    time: int


class Receipts:
    """Signs receipts, and reads them back."""

    def __init__(self, secret: bytes) -> None:
        self._seal = Seal(secret, b"receipt")
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Receipt).decode

    def sign(self, receipt: Receipt) -> str:
        return self._seal.close(self._encode(receipt))

    def read(self, text: str, tenant: str) -> Receipt:
        """The receipt behind `text`. Raises `Malformed` unless we gave it to this tenant."""
        try:
            receipt = self._decode(self._seal.open(text.strip()))
        except (ValueError, msgspec.DecodeError):
            raise Malformed("invalid_receipt") from None
        if receipt.tenant != tenant:
            raise Malformed("invalid_receipt")
        return receipt
