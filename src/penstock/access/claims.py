"""What the claims of a token say: whose it is, and what it may do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from penstock.access.principal import Principal
from penstock.errors import Unauthenticated
from penstock.records.identifier import is_tenant
from penstock.records.scope import Scope, is_pattern, scope_of

_MOST_SUBJECT: Final = 255
"""OpenID Connect Core 1.0, section 2: a subject has no more characters."""


class ClaimNames(NamedTuple):
    """Of the claims that hold the tenant, and the scopes."""

    tenant: str
    scopes: str


def principal_of(claims: Mapping[str, Any], names: ClaimNames) -> Principal:
    """The principal behind the claims of a verified token. Raises `Unauthenticated`.

    Scopes are words as `scope_of` takes them, in a list or with spaces between, or objects as the
    keys have them; whatever else stands there is not for us, and allows nothing.
    """
    subject, tenant = claims.get("sub"), claims.get(names.tenant)
    if not isinstance(subject, str) or not 0 < len(subject) <= _MOST_SUBJECT:
        raise Unauthenticated
    if not isinstance(tenant, str) or not is_tenant(tenant):
        raise Unauthenticated
    return Principal(tenant, f"token:{subject}", tuple(_scopes(claims.get(names.scopes))))


def _scopes(claim: Any) -> Iterator[Scope]:
    for one in (
        claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else ()
    ):
        with suppress(ValueError):
            if isinstance(one, str):
                yield scope_of(one)
            else:
                scope = msgspec.convert(one, Scope)
                if is_pattern(scope.collections):
                    yield scope
