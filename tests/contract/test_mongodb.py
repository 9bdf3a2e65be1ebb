"""The MongoDB adapters under the laws of their ports, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern
from tests.contract.catalog_laws import DAILY, PLAIN, CatalogLaws
from tests.contract.keyring_laws import KeyringLaws, key
from tests.contract.store_comparing_laws import StoreComparingLaws
from tests.contract.store_keeping_laws import StoreKeepingLaws
from tests.contract.store_laws import ODD_DATA, StoreLaws, nested
from tests.contract.store_letter_laws import StoreLetterLaws
from tests.contract.store_search_laws import StoreSearchLaws
from tests.contract.stores import at, insert, new_collection, read, replace, state
from tests.support.servers.mongodb import MongoDB

from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.mongodb.catalog import MongoCatalog
from penstock.adapters.mongodb.keyring import MongoKeyring
from penstock.adapters.mongodb.store import MongoStore
from penstock.ports.catalog import Catalog
from penstock.ports.keyring import Keyring
from penstock.ports.store import Store
from penstock.records.collection import CachePolicy, Collection, Settings
from penstock.records.document import MAX_DEPTH, encode
from penstock.records.record import State

MAX_RECORD_BYTES = 1024 * 1024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SWEPT_S = 20
_LOOK_EVERY_S = 0.05


class MongoStores:
    """Each store has a database of its own, and the server removes what is due when it is told."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(url)
        self._open: dict[Store, str] = {}

    async def fresh(self) -> Store:
        await self._let_expire(False)
        return self._opened(f"test_{uuid4().hex}")

    async def reopened(self, store: Store) -> Store:
        database = self._open.pop(store)
        await store.close()
        return self._opened(database)

    async def beside(self, store: Store) -> Store:
        return self._opened(self._open[store])

    async def swept(self, store: Store, now: int, outcomes_before: int) -> None:
        assert await store.sweep(now, outcomes_before) == 0
        await self._let_expire(True)
        until = asyncio.get_running_loop().time() + _SWEPT_S
        while await self._due(self._open[store], now, outcomes_before):
            assert asyncio.get_running_loop().time() < until, "the server removes nothing"
            await asyncio.sleep(_LOOK_EVERY_S)
        await self._let_expire(False)

    async def close(self) -> None:
        for store, database in self._open.items():
            await store.close()
            await self._client.drop_database(database)
        await self._let_expire(True)
        await self._client.close()

    def database(self, store: Store) -> AsyncDatabase[dict[str, object]]:
        return self._client.get_database(
            self._open[store], codec_options=CodecOptions(tz_aware=True)
        )

    def _opened(self, database: str) -> Store:
        store = MongoStore(self._url, database)
        self._open[store] = database
        return store

    async def _let_expire(self, enabled: bool) -> None:
        await self._client.admin.command("setParameter", 1, ttlMonitorEnabled=enabled)

    async def _due(self, name: str, now: int, outcomes_before: int) -> int:
        # As the store reads: what a majority has not removed yet is still there.
        database = self._client.get_database(name, read_concern=ReadConcern("majority"))
        limits = {"outcomes": ("time", outcomes_before), "spilled": ("until", now)}
        due = 0
        for one in await database.list_collection_names():
            field, limit = limits.get(one, ("gc_at", now))
            date = datetime.fromtimestamp(limit / 1000, UTC)
            due += await database[one].count_documents({field: {"$lte": date}})
        return due


class TestMongoStore(
    StoreLaws, StoreKeepingLaws, StoreLetterLaws, StoreSearchLaws, StoreComparingLaws
):
    @pytest.fixture
    async def stores(self, mongodb: MongoDB) -> AsyncIterator[MongoStores]:
        opener = MongoStores(mongodb.url)
        yield opener
        await opener.close()

    @pytest.mark.parametrize("data", [*ODD_DATA, nested(MAX_DEPTH)], ids=range(len(ODD_DATA) + 1))
    async def test_what_replaces_a_record_comes_back_byte_by_byte(
        self, stores: MongoStores, data: Any
    ) -> None:
        """By another way through the server than what is inserted."""
        store, collection = await stores.fresh(), new_collection()
        await insert(store, collection, [state("r", 1)])
        assert await replace(store, collection, [state("r", 2, encode(data))]) == []
        assert await read(store, collection, "r") == state("r", 2, encode(data))

    @pytest.mark.parametrize("how", [insert, replace])
    async def test_the_largest_records_fit(self, stores: MongoStores, how: Any) -> None:
        """As BSON each element has a name of its own: an array of digits grows most."""
        store, collection = await stores.fresh(), new_collection()
        await insert(store, collection, [state(f"r{number}", 1) for number in range(0, 8, 2)])
        data = encode({"a": [1] * (MAX_RECORD_BYTES // 2 - 5)})
        assert MAX_RECORD_BYTES - 10 < len(data) <= MAX_RECORD_BYTES
        states = [state(f"r{number}", 2, data) for number in range(1, 8, 2)]
        if how is replace:
            states += [state(f"r{number}", 2, data) for number in range(0, 8, 2)]
        assert await how(store, collection, states) == []
        for one in states:
            assert await read(store, collection, one.record_id) == one

    async def test_records_are_documents_that_any_tool_can_query(self, stores: MongoStores) -> None:
        store, collection = await stores.fresh(), new_collection()
        made = State("r", at(9), at(7), 1_000, 2_000, b'{"site":"a","n":1}', 3_000, 4_000)
        await insert(store, collection, [made, state("t", 1, None)])
        documents = stores.database(store)[f"records_{collection}"]
        assert await documents.find({"data.site": "a", "expires_at": {"$gt": EPOCH}}).to_list() == [
            {
                "_id": "r",
                "fence": "000100000000000000000009",
                "version": "000100000000000000000007",
                "created_at": EPOCH + timedelta(seconds=1),
                "updated_at": EPOCH + timedelta(seconds=2),
                "ops": [],
                "expires_at": EPOCH + timedelta(seconds=3),
                "gc_at": EPOCH + timedelta(seconds=4),
                "data": {"site": "a", "n": 1},
            }
        ]

    async def test_half_of_those_replaced_are_new(self, stores: MongoStores) -> None:
        store, collection = await stores.fresh(), new_collection()
        await insert(store, collection, [state(f"r{number}", 5) for number in range(0, 1200, 2)])
        later = [state(f"r{number}", 6 - (number % 3 == 0), b"1") for number in range(1200)]
        # Every sixth stands with the fence given: it counts as written.
        assert await replace(store, collection, later) == []
        stale = [state(f"r{number}", 4 + 3 * (number % 3 == 0)) for number in range(1200)]
        refused = await replace(store, collection, stale)
        assert sorted(refused) == sorted(f"r{number}" for number in range(1200) if number % 3)


class MongoCatalogs:
    def __init__(self, url: str) -> None:
        self._url = url
        self._open: dict[Catalog, str] = {}

    async def fresh(self) -> Catalog:
        return self._opened(f"test_{uuid4().hex}")

    async def reopened(self, catalog: Catalog) -> Catalog:
        database = self._open.pop(catalog)
        await catalog.close()
        return self._opened(database)

    async def beside(self, catalog: Catalog) -> Catalog:
        """The same catalog, as another process has it open."""
        return self._opened(self._open[catalog])

    async def close(self) -> None:
        async with AsyncMongoClient[dict[str, object]](self._url) as client:
            for catalog, database in self._open.items():
                await catalog.close()
                await client.drop_database(database)

    def _opened(self, database: str) -> Catalog:
        catalog = MongoCatalog(self._url, database, SystemEntropy())
        self._open[catalog] = database
        return catalog


class TestMongoCatalog(CatalogLaws):
    @pytest.fixture
    async def catalogs(self, mongodb: MongoDB) -> AsyncIterator[MongoCatalogs]:
        opener = MongoCatalogs(mongodb.url)
        yield opener
        await opener.close()

    async def test_two_processes_make_one_collection(self, catalogs: MongoCatalogs) -> None:
        one = await catalogs.fresh()
        other = await catalogs.beside(one)
        for number in range(20):
            name = f"orders-{number}"
            made = await asyncio.gather(
                *(catalog.put("t", name, PLAIN, 1_000) for catalog in (one, other, one, other))
            )
            assert len({collection.id for collection in made}) == 1
            assert {collection.revision for collection in made} == {1}
        assert len(await other.list("t")) == 20

    async def test_changes_by_two_processes_have_revisions_of_their_own(
        self, catalogs: MongoCatalogs
    ) -> None:
        one = await catalogs.fresh()
        other = await catalogs.beside(one)
        made = await one.put("t", "orders", PLAIN, 1_000)
        wanted = [Settings(cache=CachePolicy(ttl=f"{number}s")) for number in range(1, 31)]
        changed: list[Collection] = await asyncio.gather(
            *(
                (one, other)[place % 2].put("t", "orders", settings, 2_000)
                for place, settings in enumerate(wanted)
            )
        )
        assert sorted(collection.revision for collection in changed) == list(range(2, 32))
        for collection in changed:
            for catalog in (one, other):
                kept = await catalog.settings(made.id, collection.revision)
                assert kept == collection.settings

    async def test_what_one_process_drops_another_cannot_change(
        self, catalogs: MongoCatalogs
    ) -> None:
        one = await catalogs.fresh()
        other = await catalogs.beside(one)
        first = await one.put("t", "orders", PLAIN, 1_000)
        await asyncio.gather(
            one.drop("t", "orders", 2_000),
            *(other.put("t", "orders", DAILY, 3_000) for _ in range(5)),
        )
        (dropped,) = await one.dropped()
        live = await other.get("t", "orders")
        assert live is not None
        assert (dropped.id, dropped.dropped_at) == (first.id, 2_000)
        assert live.id != first.id
        assert (live.revision, live.settings) == (1, DAILY)


class MongoKeyrings:
    def __init__(self, url: str) -> None:
        self._url = url
        self._open: dict[Keyring, str] = {}

    async def fresh(self) -> Keyring:
        return self._opened(f"test_{uuid4().hex}")

    async def reopened(self, keyring: Keyring) -> Keyring:
        database = self._open.pop(keyring)
        await keyring.close()
        return self._opened(database)

    async def beside(self, keyring: Keyring) -> Keyring:
        """The same keyring, as another process has it open."""
        return self._opened(self._open[keyring])

    async def close(self) -> None:
        async with AsyncMongoClient[dict[str, object]](self._url) as client:
            for keyring, database in self._open.items():
                await keyring.close()
                await client.drop_database(database)

    def _opened(self, database: str) -> Keyring:
        keyring = MongoKeyring(self._url, database)
        self._open[keyring] = database
        return keyring


class TestMongoKeyring(KeyringLaws):
    @pytest.fixture
    async def keyrings(self, mongodb: MongoDB) -> AsyncIterator[MongoKeyrings]:
        opener = MongoKeyrings(mongodb.url)
        yield opener
        await opener.close()

    async def test_what_one_process_changes_another_sees_at_once(
        self, keyrings: MongoKeyrings
    ) -> None:
        one = await keyrings.fresh()
        other = await keyrings.beside(one)
        for number in range(1, 11):
            made = key(number)
            await one.put(made)
            assert await other.find([made.digest]) == {made.digest: made}
            await other.revoke("t", made.id)
            assert await one.find([made.digest]) == {}
