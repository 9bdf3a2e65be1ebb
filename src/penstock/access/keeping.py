"""What those who administer keys do: make, show, revoke and rotate them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from penstock.access.access import administer
from penstock.access.keys import KnownKeys
from penstock.access.principal import Principal
from penstock.errors import Fault, Forbidden, Malformed, NotFound
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy
from penstock.ports.keyring import Keyring
from penstock.records.key import ID_BITS, SECRET_BITS, Key, digest_of, new_key, new_key_id
from penstock.records.scope import Rate, Scope


class Wanted(NamedTuple):
    """A key that is asked for; `tenant` is the principal's own where it is None."""

    name: str
    scopes: tuple[Scope, ...]
    tenant: str | None = None
    rate: Rate | None = None
    expires_at: int | None = None


class Made(NamedTuple):
    """A new key: `text` is the key itself, which is not kept."""

    key: Key
    text: str


class KeyKeeping:
    """The keys of a tenant, for a principal that has `admin` on all of it.

    Every method takes the tenant that is asked about, None for the principal's own, and raises
    `Forbidden` for who may not administer it, `Unavailable` where the keyring cannot be reached.
    """

    def __init__(self, keyring: Keyring, known: KnownKeys, clock: Clock, entropy: Entropy) -> None:
        self._keyring = keyring
        self._known = known
        self._clock = clock
        self._entropy = entropy

    async def create(self, principal: Principal, wanted: Wanted) -> Made:
        """Make a key. Raises `Forbidden` where it could do more than the principal itself."""
        tenant = _tenant(principal, wanted.tenant)
        _check_grant(principal, wanted.scopes, wanted.rate)
        made = self._made(principal, tenant, wanted)
        await self._keyring.put(made.key)
        return made

    async def page(
        self, principal: Principal, tenant: str | None, after: str, size: int
    ) -> Sequence[Key]:
        """Keys by id, of those above `after`."""
        return await self._keyring.list(_tenant(principal, tenant), after, size)

    async def get(self, principal: Principal, tenant: str | None, key_id: str) -> Key:
        """One of them. Raises `NotFound` (`key_not_found`)."""
        return _found(await self._keyring.get(_tenant(principal, tenant), key_id))

    async def revoke(self, principal: Principal, tenant: str | None, key_id: str) -> None:
        """Take one back, here at once. Raises `NotFound`."""
        key = _found(await self._keyring.revoke(_tenant(principal, tenant), key_id))
        self._known.forget(key)

    async def rotate(
        self, principal: Principal, old: Key, overlap_ms: int, expires_at: int | None
    ) -> Made:
        """A key like `old`, which is valid for the overlap only.

        The new one expires at `expires_at` (ms since 1970); where that is None, when the old one
        did. Raises `Forbidden` where it could do more than the principal itself, `NotFound`.
        """
        tenant = _tenant(principal, old.tenant)
        _check_grant(principal, old.scopes, old.rate)
        end = old.expires_at if expires_at is None else expires_at
        made = self._made(principal, tenant, Wanted(old.name, old.scopes, tenant, old.rate, end))
        until = self._clock.now() + overlap_ms
        self._known.learn(_found(await self._keyring.rotate(old.id, made.key, until)))
        return made

    def _made(self, principal: Principal, tenant: str, wanted: Wanted) -> Made:
        now = self._clock.now()
        if wanted.expires_at is not None and wanted.expires_at <= now:
            detail = "A key expires in the future."
            raise Malformed("invalid_body", detail, faults=(Fault("/expires_at", detail),))
        text = new_key(self._entropy.bits(SECRET_BITS))
        key = Key(
            new_key_id(now, self._entropy.bits(ID_BITS)),
            tenant,
            wanted.name,
            digest_of(text.encode()),
            wanted.scopes,
            now,
            principal.key_id,
            wanted.rate,
            wanted.expires_at,
        )
        return Made(key, text)


def _tenant(principal: Principal, asked: str | None) -> str:
    """The tenant that is asked about. Raises `Forbidden`."""
    administer(principal)
    if asked is None or asked == principal.tenant:
        return principal.tenant
    if not principal.is_operator:
        raise Forbidden("forbidden", "Only the installation's admin key names another tenant.")
    return asked


def _check_grant(principal: Principal, scopes: tuple[Scope, ...], rate: Rate | None) -> None:
    if not principal.may_grant(scopes, rate):
        raise Forbidden(
            "forbidden", "A key can be given no more than the one that asks for it has."
        )


def _found(key: Key | None) -> Key:
    if key is None:
        raise NotFound("key_not_found")
    return key
