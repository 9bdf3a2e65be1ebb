"""The rules that entries were accepted under, by collection and revision."""

from __future__ import annotations

from penstock.errors import NotFound
from penstock.ports.catalog import Catalog
from penstock.records.collection import Collection, Rules

RulesByRevision = dict[int, Rules]


class Rulebook:
    """Compiled rules, kept as long as the worker lives: a revision's settings never change."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._compiled: dict[str, RulesByRevision] = {}

    async def open(self, collection_id: str, revisions: set[int]) -> RulesByRevision:
        """The rules of these revisions. Raises NotFound where the collection is gone or dropped.

        A collection that is not known is asked for, never assumed to be absent.
        """
        collection = await self._catalog.by_id(collection_id)
        if collection is None or collection.dropped_at is not None:
            self._compiled.pop(collection_id, None)
            raise NotFound("collection_not_found")
        known = self._compiled.setdefault(collection_id, {})
        for revision in revisions - known.keys():
            settings = await self._catalog.settings(collection_id, revision)
            assert settings is not None, "an entry's revision is in the catalog before the entry"
            known[revision] = Rules(settings)
        return known

    async def current(self, collection_id: str) -> tuple[Collection, Rules] | None:
        """The collection and the rules in force now; None where it is gone."""
        collection = await self._catalog.by_id(collection_id)
        if collection is None or collection.dropped_at is not None:
            return None
        rules = await self.open(collection_id, {collection.revision})
        return collection, rules[collection.revision]
