"""The laws of `ports.catalog`: names, ids, revisions, and what is left of a dropped collection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import pytest

from penstock.ports.catalog import Catalog
from penstock.records.collection import CachePolicy, Collection, Settings, TimeToLive

PLAIN = Settings()
DAILY = Settings(ttl=TimeToLive(after="1d"))
FULL = Settings(
    schema={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "a.b": {"const": -0.5},
            "\u00e9\U0001f6b0": {"enum": [None, True, 2**53 + 1]},
        },
    },
    ttl=TimeToLive(after="90s", field="data.seen.at"),
    cache=CachePolicy(ttl="5s", write_through=True),
)


class Catalogs(Protocol):
    """Opens catalogs of the adapter that is held to the laws, and closes them after the test."""

    async def fresh(self) -> Catalog:
        """A catalog without any collection."""
        ...

    async def reopened(self, catalog: Catalog) -> Catalog:
        """The same catalog as another process finds it, after this one has ended."""
        ...


def names(collections: Sequence[Collection]) -> list[str]:
    return [one.name for one in collections]


class CatalogLaws:
    """To be inherited beside a fixture `catalogs`, a `Catalogs`."""

    # Putting.

    async def test_a_new_collection_is_at_revision_1(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        assert await catalog.get("t", "orders") is None
        made = await catalog.put("t", "orders", FULL, 1_000)
        assert made == Collection(made.id, "t", "orders", 1, FULL, 1_000, 1_000)
        assert await catalog.get("t", "orders") == made
        assert await catalog.by_id(made.id) == made
        assert await catalog.settings(made.id, 1) == FULL

    async def test_unchanged_settings_change_nothing(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        made = await catalog.put("t", "orders", FULL, 1_000)
        # The names of an object have no order.
        again = Settings(dict(reversed(FULL.schema.items())), FULL.ttl, FULL.cache)
        assert await catalog.put("t", "orders", again, 2_000) == made
        assert await catalog.get("t", "orders") == made

    async def test_each_change_is_a_revision_and_earlier_ones_stay(
        self, catalogs: Catalogs
    ) -> None:
        catalog = await catalogs.fresh()
        made = await catalog.put("t", "orders", PLAIN, 1_000)
        for revision, settings in ((2, DAILY), (3, FULL), (4, PLAIN)):
            now = 1_000 * revision
            changed = await catalog.put("t", "orders", settings, now)
            assert changed == Collection(made.id, "t", "orders", revision, settings, 1_000, now)
            assert await catalog.get("t", "orders") == changed
        for reopen in (False, True):
            catalog = await catalogs.reopened(catalog) if reopen else catalog
            kept = [await catalog.settings(made.id, revision) for revision in range(6)]
            assert kept == [None, PLAIN, DAILY, FULL, PLAIN, None]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"const": 1}, {"const": True}),
            ({"const": 0}, {"const": False}),
            ({"enum": [[1]]}, {"enum": [[True]]}),
            ({}, {"type": "object"}),
            (True, {}),
            (msgspec.UNSET, {}),
        ],
    )
    async def test_what_json_tells_apart_is_a_change(
        self, catalogs: Catalogs, one: Any, other: Any
    ) -> None:
        catalog = await catalogs.fresh()
        await catalog.put("t", "orders", Settings(schema=one), 1_000)
        changed = await catalog.put("t", "orders", Settings(schema=other), 2_000)
        assert changed.revision == 2
        found = await (await catalogs.reopened(catalog)).get("t", "orders")
        assert found is not None
        assert repr(found.settings.schema) == repr(other)

    async def test_puts_at_once_make_one_collection(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        puts = [catalog.put("t", "orders", DAILY, 1_000) for _ in range(20)]
        made = await asyncio.gather(*puts)
        assert len({one.id for one in made}) == 1
        assert {one.revision for one in made} == {1}
        assert names(await catalog.list("t")) == ["orders"]

    async def test_changes_at_once_have_revisions_of_their_own(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        made = await catalog.put("t", "orders", PLAIN, 1_000)
        wanted = [Settings(cache=CachePolicy(ttl=f"{number}s")) for number in range(1, 21)]
        changed = await asyncio.gather(
            *[catalog.put("t", "orders", settings, 2_000) for settings in wanted]
        )
        assert sorted(one.revision for one in changed) == list(range(2, 22))
        for one in changed:
            assert await catalog.settings(made.id, one.revision) == one.settings
        assert [one.settings for one in changed] == wanted

    async def test_tenants_do_not_know_each_other(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        one = await catalog.put("t", "orders", PLAIN, 1_000)
        other = await catalog.put("u", "orders", DAILY, 2_000)
        assert one.id != other.id
        assert await catalog.get("t", "orders") == one
        assert await catalog.get("u", "orders") == other
        assert await catalog.drop("u", "orders", 3_000) is not None
        assert await catalog.list("t") == [one]
        assert await catalog.list("u") == []

    async def test_collections_are_listed_by_name(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        for name in ("b", "a-1", "a", "b_", "10", "9", "a1"):
            await catalog.put("t", name, PLAIN, 1_000)
        ordered = ["10", "9", "a", "a-1", "a1", "b", "b_"]
        assert names(await catalog.list("t")) == ordered
        assert names(await (await catalogs.reopened(catalog)).list("t")) == ordered

    # Dropping.

    async def test_a_dropped_collection_is_known_by_its_id_only(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        await catalog.put("t", "kept", PLAIN, 1_000)
        made = await catalog.put("t", "orders", DAILY, 1_000)
        dropped = await catalog.drop("t", "orders", 5_000)
        assert dropped == Collection(made.id, "t", "orders", 1, DAILY, 1_000, 1_000, 5_000)
        for reopen in (False, True):
            catalog = await catalogs.reopened(catalog) if reopen else catalog
            assert await catalog.get("t", "orders") is None
            assert names(await catalog.list("t")) == ["kept"]
            assert await catalog.by_id(made.id) == dropped
            assert await catalog.settings(made.id, 1) == DAILY
            assert await catalog.dropped() == [dropped]

    async def test_what_is_not_there_cannot_be_dropped(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        assert await catalog.drop("t", "orders", 1_000) is None
        await catalog.put("t", "orders", PLAIN, 1_000)
        assert await catalog.drop("u", "orders", 2_000) is None
        await catalog.drop("t", "orders", 2_000)
        assert await catalog.drop("t", "orders", 3_000) is None
        assert [one.dropped_at for one in await catalog.dropped()] == [2_000]

    async def test_a_collection_made_anew_is_another_one(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        first = await catalog.put("t", "orders", FULL, 1_000)
        await catalog.drop("t", "orders", 2_000)
        second = await catalog.put("t", "orders", FULL, 3_000)
        assert second == Collection(second.id, "t", "orders", 1, FULL, 3_000, 3_000)
        assert second.id != first.id
        for reopen in (False, True):
            catalog = await catalogs.reopened(catalog) if reopen else catalog
            assert await catalog.get("t", "orders") == second
            found = await catalog.by_id(first.id)
            assert found is not None
            assert found.dropped_at == 2_000

    async def test_a_forgotten_collection_leaves_nothing(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        gone = await catalog.put("t", "orders", PLAIN, 1_000)
        await catalog.put("t", "orders", DAILY, 2_000)
        await catalog.drop("t", "orders", 3_000)
        kept = await catalog.put("t", "orders", FULL, 4_000)
        for _ in range(2):
            await catalog.forget(gone.id)
        for reopen in (False, True):
            catalog = await catalogs.reopened(catalog) if reopen else catalog
            assert await catalog.by_id(gone.id) is None
            assert [await catalog.settings(gone.id, one) for one in (1, 2)] == [None, None]
            assert await catalog.dropped() == []
            assert await catalog.get("t", "orders") == kept
            assert await catalog.settings(kept.id, 1) == FULL

    async def test_an_id_is_never_used_again(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        ids: list[str] = []
        for round_ in range(30):
            made = await catalog.put("t", "orders", PLAIN, round_)
            ids.append(made.id)
            await catalog.drop("t", "orders", round_)
            await catalog.forget(made.id)
            if round_ % 10 == 9:
                catalog = await catalogs.reopened(catalog)
        assert len(set(ids)) == 30

    async def test_what_was_never_there_is_none(self, catalogs: Catalogs) -> None:
        catalog = await catalogs.fresh()
        assert await catalog.by_id("0123456789abcdef") is None
        assert await catalog.settings("0123456789abcdef", 1) is None
        assert await catalog.list("t") == []
        assert await catalog.dropped() == []
        await catalog.forget("0123456789abcdef")
