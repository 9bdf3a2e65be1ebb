"""API keys: what they look like, and what is kept of them.

A key is `penstock_`, 40 hexadecimal digits (160 random bits) and 8 more, the CRC-32 of all before
them: a scanner of secrets knows one by its form, and a mistyped one is told without asking anybody.
Only a digest is kept. It is a plain, fast hash: slow ones (scrypt, Argon2) make up for passwords
that can be guessed, and nobody guesses 160 random bits.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

import msgspec

from penstock.records.scope import Rate, Scope

SECRET_BITS: Final = 160
ID_BITS: Final = 32
EXPIRED_KEPT_MS: Final = 30 * 86_400_000
"""How long an expired key is still listed."""

_PREFIX: Final = b"penstock_"
_SUM_DIGITS: Final = 8
_EMPTY: Final = hashlib.blake2b(digest_size=32, person=b"api key")
_LENGTH: Final = len(_PREFIX) + SECRET_BITS // 4 + _SUM_DIGITS


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a key.

    Attributes:
        id: names it, and says nothing about it; ids rise with the time of creation.
        tenant: all it can reach.
        name: what its owner calls it.
        digest: of the key itself.
        scopes: what it may do.
        created_at: ms since 1970.
        created_by: the id of the key that asked for it.
        rate: how much of it; None for as much as the installation grants to every key.
        expires_at: ms since 1970, from when on it is not valid; None for never.
        replaced_by: the id of the key that it was rotated to.
        last_used_at: ms since 1970, to within some minutes; None for never.
    """

    id: str
    tenant: str
    name: str
    digest: bytes
    scopes: tuple[Scope, ...]
    created_at: int
    created_by: str
    rate: Rate | None = None
    expires_at: int | None = None
    replaced_by: str | None = None
    last_used_at: int | None = None


def new_key(random_bits: int) -> str:
    """A key of `SECRET_BITS` random bits."""
    body = b"%b%040x" % (_PREFIX, random_bits)
    return f"{body.decode()}{zlib.crc32(body):08x}"


def new_key_id(now_ms: int, random_bits: int) -> str:
    """An id from the time and `ID_BITS` random bits: 20 hexadecimal digits."""
    return f"{now_ms:012x}{random_bits:08x}"


def is_well_formed(text: bytes) -> bool:
    """Whether this may be a key of ours: its form and its checksum are right."""
    if len(text) != _LENGTH or not text.startswith(_PREFIX):
        return False
    return text[-_SUM_DIGITS:] == b"%08x" % zlib.crc32(text[:-_SUM_DIGITS])


def digest_of(text: bytes) -> bytes:
    """What is kept of a key, and what it is found by: BLAKE2b (RFC 7693), 32 bytes."""
    digest = _EMPTY.copy()
    digest.update(text)
    return digest.digest()
