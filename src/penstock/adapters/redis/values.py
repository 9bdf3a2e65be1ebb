"""How keys and values stand in Redis.

A key is a hash of its parts: no part can reach into another, and no id is too long. A value begins
with a letter that tells it from a placeholder, and with its fence, by which the script compares.
"""

from __future__ import annotations

import hashlib
from typing import Final
from zlib import crc32

import msgspec

from penstock.ports.cache import Cached, Key
from penstock.records.position import WIDTH, Position

PLACEHOLDER: Final = b"p"
VALUE: Final = b"v"
_COUNT_KEYS: Final = 16
_NEVER: Final = " " * WIDTH
"""The fence of a record that never was: below all others."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Cached).decode


def key_of(tenant: str, collection_id: str, record_id: str) -> str:
    """Of a record; the collection's id holds no slash, and a tenant is told by its length."""
    text = f"{len(tenant)}/{tenant}/{collection_id}/{record_id}"
    digest = hashlib.blake2b(text.encode(), digest_size=16, person=b"cached record")
    return f"penstock:r:{digest.hexdigest()}"


def note_key_of(key: str) -> str:
    """Of a claim."""
    return f"penstock:n:{key}"


def count_key_of(name: str) -> str:
    """Of the counts among which this one is: few keys, spread over a cluster, hold them all."""
    return f"penstock:c:{crc32(name.encode()) % _COUNT_KEYS}"


def placeholder(token: str) -> bytes:
    return PLACEHOLDER + token.encode()


def stored(value: Cached) -> bytes:
    return VALUE + fence_of(value) + _encode(value)


def fence_of(value: Cached) -> bytes:
    return (value.fence or Position(_NEVER)).encode()


def cached(found: bytes | None, key: Key) -> Cached | None:
    """The value; None for none, for a placeholder, and for what is not ours or another key's."""
    if found is None or not found.startswith(VALUE):
        return None
    try:
        value = _decode(found[1 + WIDTH :])
    except msgspec.DecodeError:
        return None
    return value if value.key == key else None
