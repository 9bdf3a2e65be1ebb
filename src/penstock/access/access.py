"""What a principal may reach: collections by name, resolved to what the other parts work with."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.access.principal import Keys, Principal
from penstock.errors import Forbidden, NotFound
from penstock.ports.catalog import Catalog
from penstock.ports.clock import Clock
from penstock.records.collection import Collection, Rules, Settings, Target
from penstock.records.identifier import check_collection_name


class Access:
    """Authenticates, and resolves names within the principal's tenant only."""

    def __init__(self, keys: Keys, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._targets: dict[str, Target] = {}
        self.authenticate = keys.authenticate

    async def target(self, principal: Principal, name: str) -> Target:
        """The collection behind a name, with its rules compiled.

        Raises `NotFound` for one that is not there, or is another tenant's.
        """
        collection = await self._catalog.get(principal.tenant, check_collection_name(name))
        if collection is None:
            raise NotFound("collection_not_found")
        known = self._targets.get(collection.id)
        if known is None or known.collection.revision != collection.revision:
            known = Target(collection.tenant, collection, Rules(collection.settings))
            self._targets[collection.id] = known
        return known

    async def put_collection(
        self, principal: Principal, name: str, settings: Settings
    ) -> tuple[Collection, bool]:
        """Create or change a collection; tells whether it was created.

        Raises `Malformed` (`invalid_name`, `invalid_collection`), `Forbidden`.
        """
        _administer(principal)
        check_collection_name(name)
        Rules(settings)
        before = await self._catalog.get(principal.tenant, name)
        collection = await self._catalog.put(principal.tenant, name, settings, self._clock.now())
        return collection, before is None or before.id != collection.id

    async def list_collections(self, principal: Principal) -> Sequence[Collection]:
        return await self._catalog.list(principal.tenant)

    async def drop_collection(self, principal: Principal, name: str) -> Collection:
        """Drop a collection and all its records. Raises `NotFound`, `Forbidden`."""
        _administer(principal)
        dropped = await self._catalog.drop(
            principal.tenant, check_collection_name(name), self._clock.now()
        )
        if dropped is None:
            raise NotFound("collection_not_found")
        return dropped


def _administer(principal: Principal) -> None:
    if not principal.admin:
        raise Forbidden("forbidden")
