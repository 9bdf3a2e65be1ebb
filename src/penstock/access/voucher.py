"""What the first process of ours that saw a request says of it to the next one."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from penstock.access.principal import Principal
from penstock.errors import Unauthenticated
from penstock.ports.clock import Clock
from penstock.records.operation import Birth
from penstock.records.seal import Seal

LIFETIME_MS: Final = 10_000
"""For how long a voucher is good: longer than any deadline."""

LEEWAY_MS: Final = 30_000
"""By how much the clocks of two processes may differ."""


class Seen(NamedTuple):
    """A collection, as the first process knew it: the next one must not know less."""

    name: str
    collection_id: str
    revision: int


class Voucher(msgspec.Struct, array_like=True, frozen=True):
    """A request, and who it comes from.

    Attributes:
        principal: whoever was authenticated.
        request: method and target, so that it counts for no other request.
        issued_at: ms since 1970.
        birth: for a write, the ids that it has from the first process.
        seen: its collection, where it has one.
    """

    principal: Principal
    request: bytes
    issued_at: int
    birth: Birth | None = None
    seen: Seen | None = None


class Vouchers:
    """Signs vouchers, and reads them back, with the secret that all processes share."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._seal = Seal(secret, b"voucher")
        self._clock = clock
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Voucher).decode

    def sign(
        self, principal: Principal, request: bytes, birth: Birth | None, seen: Seen | None
    ) -> str:
        return self._seal.close(
            self._encode(Voucher(principal, request, self._clock.now(), birth, seen))
        )

    def read(self, text: str, request: bytes) -> Voucher:
        """The voucher behind `text`.

        Raises `Unauthenticated` unless it is ours, for this very request, and of now: the same for
        each of these.
        """
        try:
            voucher = self._decode(self._seal.open(text))
        except (ValueError, msgspec.DecodeError):
            raise Unauthenticated from None
        age_ms = self._clock.now() - voucher.issued_at
        if voucher.request != request or not -LEEWAY_MS <= age_ms <= LIFETIME_MS + LEEWAY_MS:
            raise Unauthenticated
        return voucher
