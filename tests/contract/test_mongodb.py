"""The MongoDB adapters under the laws of their ports, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from pymongo import AsyncMongoClient
from pymongo.read_concern import ReadConcern
from tests.contract.store_keeping_laws import StoreKeepingLaws
from tests.contract.store_laws import StoreLaws
from tests.support.servers.mongodb import MongoDB

from penstock.adapters.mongodb.store import MongoStore
from penstock.ports.store import Store

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


class TestMongoStore(StoreLaws, StoreKeepingLaws):
    @pytest.fixture
    async def stores(self, mongodb: MongoDB) -> AsyncIterator[MongoStores]:
        opener = MongoStores(mongodb.url)
        yield opener
        await opener.close()
