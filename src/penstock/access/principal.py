"""Who a request comes from."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from penstock.records.scope import Rate, Scope, Verb


class Principal(msgspec.Struct, frozen=True):
    """The caller behind a request.

    Attributes:
        tenant: all it can reach.
        key_id: for logs; says nothing about the key itself.
        scopes: what it may do there.
        rate: how much of it; None for as much as the installation grants to every key.
        is_operator: whether it may name tenants: the installation's admin key.
    """

    tenant: str
    key_id: str
    scopes: tuple[Scope, ...]
    rate: Rate | None = None
    is_operator: bool = False

    def may(self, verb: Verb, collection: str) -> bool:
        """Whether it may do this to a collection, or, of a pattern, to all that it stands for."""
        return any(one.covers(verb, collection) for one in self.scopes)

    def may_grant(self, scopes: Iterable[Scope], rate: Rate | None) -> bool:
        """Whether it has all this itself."""
        return _is_within(rate, self.rate) and all(
            self.may(verb, one.collections) for one in scopes for verb in one.verbs
        )


def _is_within(rate: Rate | None, most: Rate | None) -> bool:
    if most is None:
        return True
    given = rate or Rate()
    return all(
        limit is None or (wanted is not None and wanted <= limit)
        for wanted, limit in (
            (given.requests_per_second, most.requests_per_second),
            (given.bytes_per_second, most.bytes_per_second),
        )
    )
