"""The JSON of keys."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from penstock.records.key import Key
from penstock.records.record import timestamp
from penstock.records.scope import Rate, Scope


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key to be made. Only the installation's admin key names a tenant other than its own."""

    name: str
    scopes: tuple[Scope, ...]
    tenant: str | None = None
    rate: Rate | None = None
    expires_at: datetime | None = None


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the old key stays valid (`0s` for not at all), and when the new one expires.

    Without `expires_at`, when the old one did.
    """

    overlap: str = "1h"
    expires_at: datetime | None = None


class KeyView(msgspec.Struct, frozen=True):
    """A key as it is shown, which is never the key itself.

    `replaced_by` is the id of the key that it was rotated to, `created_by` of the one that asked
    for it.
    """

    id: str
    tenant: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: str
    created_by: str
    rate: Rate | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET
    replaced_by: str | UnsetType = UNSET
    last_used_at: str | UnsetType = UNSET

    @classmethod
    def of(cls, key: Key) -> KeyView:
        return cls(
            key.id,
            key.tenant,
            key.name,
            key.scopes,
            timestamp(key.created_at),
            key.created_by,
            UNSET if key.rate is None else key.rate,
            UNSET if key.expires_at is None else timestamp(key.expires_at),
            UNSET if key.replaced_by is None else key.replaced_by,
            UNSET if key.last_used_at is None else timestamp(key.last_used_at),
        )


class KeyMade(KeyView, frozen=True, kw_only=True):
    """A new key. `key` is the key itself: it is shown this once."""

    key: str


class KeyPage(msgspec.Struct, frozen=True):
    """Keys by id, which is by the time of their creation."""

    keys: list[KeyView]
    next_page_token: str | UnsetType = UNSET
