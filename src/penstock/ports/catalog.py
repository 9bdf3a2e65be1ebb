"""The catalog: which collections there are, and under which settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.records.collection import Collection, Settings


class Catalog(Protocol):
    """The collections of all tenants, durable when a method returns.

    Laws, held by every adapter (`tests/contract/catalog_laws.py`): of one tenant and name, at most
    one collection is not dropped; an internal id is never used twice; a revision's settings never
    change; revisions of a collection rise by one.

    Every method raises `Unavailable` (`store_unavailable`) where the catalog cannot be reached.
    """

    async def put(self, tenant: str, name: str, settings: Settings, now: int) -> Collection:
        """Create the collection, or give it a new revision; unchanged settings change nothing.

        A result with revision 1 and `created_at == now` was created.
        """
        ...

    async def get(self, tenant: str, name: str, time_s: float | None = None) -> Collection | None:
        """The collection; None where there is none, or only dropped ones.

        Raises `DeadlineExceeded` after `time_s` seconds; None leaves it to the adapter's own limit.
        """
        ...

    async def list(self, tenant: str) -> Sequence[Collection]:
        """Those that are not dropped, by name."""
        ...

    async def drop(self, tenant: str, name: str, now: int) -> Collection | None:
        """Mark it dropped; returns it as marked, None where there was none."""
        ...

    async def by_id(self, collection_id: str) -> Collection | None:
        """The collection of an internal id, dropped ones included until they are forgotten."""
        ...

    async def settings(self, collection_id: str, revision: int) -> Settings | None:
        """The settings of one revision; None where there never was one, or it is forgotten."""
        ...

    async def changed(self, since: int) -> Sequence[Collection]:
        """Those of all tenants that are not dropped and were put at or after `since` (ms)."""
        ...

    async def dropped(self) -> Sequence[Collection]:
        """Those that are dropped and not forgotten."""
        ...

    async def forget(self, collection_id: str) -> None:
        """Remove a dropped collection for good: its records are gone from the store."""
        ...

    async def close(self) -> None: ...
