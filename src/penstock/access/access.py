"""What a principal may reach: collections by name, resolved to what the other parts work with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from penstock.access.authentication import Authentication
from penstock.access.principal import Principal
from penstock.access.voucher import Seen
from penstock.errors import Forbidden, NotFound, Unavailable
from penstock.ports.catalog import Catalog
from penstock.ports.clock import Clock
from penstock.records.collection import Collection, Rules, Settings, Target
from penstock.records.identifier import check_collection_name
from penstock.records.receipt import Receipt
from penstock.records.scope import Verb

_KNOWN_S: Final = 0.8
"""How long a collection counts as known; with twice `_AGAIN_S`, for which it may count as known to
those who do not ask, other processes see a change of it a second later at most."""
_AGAIN_S: Final = 0.1
_FIRST_S: Final = 0.4
"""How long the catalog is waited for, about what is known and about what is not: less than a
request is given, so that one that hangs is as one that is away."""


class _Known(NamedTuple):
    target: Target
    until: float


class Access:
    """Authenticates, and resolves names within the principal's tenant only."""

    def __init__(self, authentication: Authentication, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._known: dict[tuple[str, str], _Known] = {}
        self._names: dict[str, str] = {}
        self.recall = authentication.recall
        self.authenticate = authentication.authenticate

    async def target(self, principal: Principal, name: str, verb: Verb = Verb.READ) -> Target:
        """The collection behind a name, with its rules compiled.

        Raises `Forbidden` where the principal may not do this to it, `NotFound` for one that is not
        there, or is another tenant's: that is always asked for. While the catalog cannot be
        reached, what was known stays so; else `Unavailable`.
        """
        allow(principal, verb, name)
        known = self._known.get((principal.tenant, name))
        if known is not None:
            now = self._clock.monotonic()
            if known.until > now:
                return known.target
            if known.until + _AGAIN_S > now:
                # One asks. The others of this moment, which can be many, make do with it.
                self._known[principal.tenant, name] = known._replace(until=now + _AGAIN_S)
        wait_s = _FIRST_S if known is None else _AGAIN_S
        try:
            collection = await self._catalog.get(
                principal.tenant, check_collection_name(name), wait_s
            )
        except Unavailable:
            if known is None:
                raise
            return self._learn(known.target.collection, known)
        if collection is None:
            self._known.pop((principal.tenant, name), None)
            raise NotFound("collection_not_found")
        return self._learn(collection, known)

    async def allow_receipt(self, principal: Principal, receipt: Receipt) -> None:
        """Raise `Forbidden` where the principal may not read the collection of its write."""
        if principal.may(Verb.READ, "*"):
            return
        name = self._names.get(receipt.collection_id)
        if name is None:
            collection = await self._catalog.by_id(receipt.collection_id)
            if collection is None:
                raise Forbidden("forbidden")
            # An id never gets another name.
            name = self._names[collection.id] = collection.name
        allow(principal, Verb.READ, name)

    def seen(self, tenant: str, seen: Seen) -> None:
        """Another process knew the collection so: where that is newer, what is known here is wrong.

        Then it is asked for, and will not do any more while the catalog cannot be reached.
        """
        known = self._known.get((tenant, seen.name))
        if known is None:
            return
        collection = known.target.collection
        if collection.id != seen.collection_id or collection.revision < seen.revision:
            del self._known[tenant, seen.name]

    async def put_collection(
        self, principal: Principal, name: str, settings: Settings
    ) -> tuple[Collection, bool]:
        """Create or change a collection; tells whether it was created.

        Raises `Malformed` (`invalid_name`, `invalid_collection`), `Forbidden`.
        """
        check_collection_name(name)
        allow(principal, Verb.ADMIN, name)
        Rules(settings)
        before = await self._catalog.get(principal.tenant, name)
        collection = await self._catalog.put(principal.tenant, name, settings, self._clock.now())
        self._known.pop((principal.tenant, name), None)
        return collection, before is None or before.id != collection.id

    async def list_collections(self, principal: Principal) -> Sequence[Collection]:
        """Those that the principal may do anything to, by name."""
        return [
            one
            for one in await self._catalog.list(principal.tenant)
            if any(principal.may(verb, one.name) for verb in Verb)
        ]

    async def drop_collection(self, principal: Principal, name: str) -> Collection:
        """Drop a collection and all its records. Raises `NotFound`, `Forbidden`."""
        check_collection_name(name)
        allow(principal, Verb.ADMIN, name)
        dropped = await self._catalog.drop(principal.tenant, name, self._clock.now())
        self._known.pop((principal.tenant, name), None)
        if dropped is None:
            raise NotFound("collection_not_found")
        return dropped

    def _learn(self, collection: Collection, known: _Known | None) -> Target:
        now = self._clock.monotonic()
        if known is None or known.target.collection != collection:
            target = Target(collection.tenant, collection, Rules(collection.settings))
        else:
            target = known.target
        self._known[collection.tenant, collection.name] = _Known(target, now + _KNOWN_S)
        return target


def allow(principal: Principal, verb: Verb, collection: str) -> None:
    """Raise `Forbidden` where the principal may not do this to a collection of this name."""
    if not principal.may(verb, collection):
        raise Forbidden("forbidden")


def administer(principal: Principal) -> None:
    """Raise `Forbidden` for who may not administer all of its tenant."""
    allow(principal, Verb.ADMIN, "*")
