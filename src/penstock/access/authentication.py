"""Authentication: from an `Authorization` header to a principal.

Credentials are compared as digests: how long that takes tells nothing about a key, for whoever
guesses does not know the digest of what he guesses to be near to another one. What a known
credential costs is a digest and a look-up in memory; only an unknown one is waited for.
"""

from __future__ import annotations

import hmac
from typing import Final

from penstock.access.keys import KnownKeys
from penstock.access.known import NEVER, Known
from penstock.access.principal import Principal
from penstock.access.tokens import Tokens
from penstock.errors import Unauthenticated
from penstock.ports.clock import Clock
from penstock.records.key import digest_of, is_well_formed
from penstock.records.scope import EVERYTHING

_SCHEME: Final = b"bearer "
_DEFAULT_TENANT: Final = "default"
_DOTS_OF_TOKEN: Final = 2


class Authentication:
    """Knows the installation's admin key, API keys, and tokens where there is an issuer of them."""

    def __init__(
        self, admin_key: str, keys: KnownKeys, tokens: Tokens | None, clock: Clock
    ) -> None:
        self._admin_digest = digest_of(admin_key.encode())
        self._admin = Principal(_DEFAULT_TENANT, "admin", EVERYTHING, is_operator=True)
        self._keys = keys
        self._tokens = tokens
        self._clock = clock

    def start(self) -> None:
        """Begin to compare what is known with where it comes from."""
        self._keys.start()
        if self._tokens is not None:
            self._tokens.start()

    async def close(self) -> None:
        await self._keys.close()
        if self._tokens is not None:
            await self._tokens.close()

    def recall(self, authorization: bytes | None) -> Principal | None:
        """The principal of `Authorization: Bearer <key>`, if that is known without asking anybody.

        Raises `Unauthenticated`, the same for what is missing, malformed, wrong or expired; None
        is for `authenticate` to decide.
        """
        digest = digest_of(_credential(authorization))
        known = self._keys.recall(digest)
        if known is None:
            if hmac.compare_digest(digest, self._admin_digest):
                return self._admin
            known = None if self._tokens is None else self._tokens.recall(digest)
        return None if known is None else self._valid(known)

    async def authenticate(self, authorization: bytes | None) -> Principal:
        """The principal, asked for where it is not known.

        Raises `Unauthenticated`; `Unavailable` where nobody can be asked.
        """
        principal = self.recall(authorization)
        if principal is not None:
            return principal
        credential = _credential(authorization)
        if is_well_formed(credential):
            return self._valid(await self._keys.find(digest_of(credential)))
        if self._tokens is not None and credential.count(b".") == _DOTS_OF_TOKEN:
            return self._valid(await self._tokens.find(credential, digest_of(credential)))
        raise Unauthenticated

    def _valid(self, known: Known) -> Principal:
        if known.expires_at != NEVER and known.expires_at <= self._clock.now():
            raise Unauthenticated
        known.was_used = True
        return known.principal


def _credential(authorization: bytes | None) -> bytes:
    if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
        raise Unauthenticated
    credential = authorization[len(_SCHEME) :].strip()
    if not credential:
        raise Unauthenticated
    return credential
