"""Names and ids: what they may look like, and how ours are made."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from penstock.errors import Malformed

_MOST_BYTES: Final = 512

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check_record_id(record_id: str) -> str:
    """The id itself, or `Malformed` (`invalid_id`) that says what is wrong with it."""
    if record_id.isascii() and record_id.isprintable() and 0 < len(record_id) <= _MOST_BYTES:
        return record_id
    if not record_id:
        raise Malformed("invalid_id", "A record id must not be empty.")
    if _CONTROL.search(record_id):
        raise Malformed("invalid_id", "A record id must not have control characters.")
    if len(record_id.encode()) > _MOST_BYTES:
        raise Malformed("invalid_id", f"A record id must not be longer than {_MOST_BYTES} bytes.")
    return record_id


def check_collection_name(name: str) -> str:
    """The name itself, or `Malformed` (`invalid_name`)."""
    if not _NAME.fullmatch(name):
        raise Malformed(
            "invalid_name",
            "A collection name is 1 to 63 of a-z, 0-9, '-' and '_', and begins with a letter or "
            "digit.",
        )
    return name


def is_tenant(name: str) -> bool:
    """Whether this may name a tenant: they are named as collections are."""
    return _NAME.fullmatch(name) is not None


def new_record_id(now_ms: int, random_bits: int) -> str:
    """A record id from the time and 80 random bits: 32 hexadecimal digits that rise with time.

    Rising ids keep neighbours in time on the same pages of every engine's primary index, which
    is worth a factor of three on insertion.
    """
    return f"{now_ms:012x}{random_bits:020x}"


def record_id_of_key(operation_id: str) -> str:
    """The record id of a create with an Idempotency-Key: the same for every repetition."""
    return hashlib.blake2b(operation_id.encode(), digest_size=16, person=b"record").hexdigest()


def record_ids_of_bulk(operation_id: str) -> str:
    """What the ids made for the lines of a bulk begin with: append `"%08x" % line`.

    The same for every repetition of a bulk with an Idempotency-Key; rising within it.
    """
    return hashlib.blake2b(operation_id.encode(), digest_size=12, person=b"records").hexdigest()
