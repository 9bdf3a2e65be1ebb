"""Who a request comes from."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import msgspec

from penstock.errors import Unauthenticated
from penstock.records.scope import EVERYTHING, Rate, Scope, Verb

_SCHEME: Final = b"bearer "
_DEFAULT_TENANT: Final = "default"


class Principal(msgspec.Struct, frozen=True):
    """The caller behind a request.

    Attributes:
        tenant: all it can reach.
        key_id: for logs; says nothing about the key itself.
        scopes: what it may do there.
        rate: how much of it; None for what the tenant may.
        is_operator: whether it may name tenants: the installation's admin key.
    """

    tenant: str
    key_id: str
    scopes: tuple[Scope, ...]
    rate: Rate | None = None
    is_operator: bool = False

    def may(self, verb: Verb, collection: str) -> bool:
        return any(one.covers(verb, collection) for one in self.scopes)


class Keys:
    """The keys that are valid: for now, the installation's admin key."""

    def __init__(self, admin_key: str) -> None:
        self._digest = _digest(admin_key.encode())
        self._admin = Principal(_DEFAULT_TENANT, "admin", EVERYTHING, is_operator=True)

    def authenticate(self, authorization: bytes | None) -> Principal:
        """The principal of an `Authorization: Bearer <key>` value.

        Digests of equal length are compared in constant time. Raises `Unauthenticated`, the same
        for a missing, a malformed and a wrong one.
        """
        given = authorization or b""
        digest = _digest(given[len(_SCHEME) :].strip())
        right = hmac.compare_digest(digest, self._digest)
        if not right or given[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated
        return self._admin


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=32, person=b"api key").digest()
