"""The embedded adapters under the laws of their ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from tests.contract.cache_laws import CacheLaws
from tests.contract.catalog_laws import CatalogLaws
from tests.contract.consumer_laws import ConsumerLaws
from tests.contract.keyring_laws import NOW, KeyringLaws, ids, key
from tests.contract.log_laws import LogLaws
from tests.contract.store_comparing_laws import StoreComparingLaws
from tests.contract.store_keeping_laws import StoreKeepingLaws
from tests.contract.store_laws import StoreLaws
from tests.contract.store_letter_laws import StoreLetterLaws
from tests.contract.store_search_laws import StoreSearchLaws
from tests.contract.stores import at, new_collection, reached, read, state
from tests.support.clock import HandClock
from tests.support.entropy import SeededEntropy

from penstock.adapters.embedded.cache import MemoryCache
from penstock.adapters.embedded.catalog import EmbeddedCatalog
from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.embedded.keyring import EmbeddedKeyring
from penstock.adapters.embedded.log import EmbeddedLog
from penstock.adapters.embedded.rows import PARTITION
from penstock.adapters.embedded.store import EmbeddedStore
from penstock.ports.cache import Cache
from penstock.ports.catalog import Catalog
from penstock.ports.keyring import Keyring
from penstock.ports.log import Log
from penstock.ports.store import Store
from penstock.records.key import EXPIRED_KEPT_MS
from penstock.records.outcome import Outcome, Result
from penstock.records.position import Position, parse


class EmbeddedLogs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._open: dict[Log, Path] = {}

    async def fresh(self) -> Log:
        return self._opened(self._folder / f"log{next(self._numbers)}.db")

    async def reopened(self, log: Log) -> Log:
        path = self._open.pop(log)
        await log.close()
        return self._opened(path)

    async def trimmed(self, log: Log, before: Position, older_than: int) -> None:
        while await log.trim(before, older_than):
            pass

    async def close(self) -> None:
        for log in self._open:
            await log.close()

    def _opened(self, path: Path) -> Log:
        log = EmbeddedLog(path, SystemClock(), SystemEntropy())
        self._open[log] = path
        return log


class TestEmbeddedLog(LogLaws, ConsumerLaws):
    @pytest.fixture
    async def logs(self, tmp_path: Path) -> AsyncIterator[EmbeddedLogs]:
        opener = EmbeddedLogs(tmp_path)
        yield opener
        await opener.close()


class EmbeddedStores:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._open: dict[Store, Path] = {}

    async def fresh(self) -> Store:
        return self._opened(self._folder / f"store{next(self._numbers)}.db")

    async def reopened(self, store: Store) -> Store:
        path = self._open.pop(store)
        await store.close()
        return self._opened(path)

    async def beside(self, store: Store) -> Store:
        return self._opened(self._open[store])

    async def swept(self, store: Store, now: int, outcomes_before: int) -> None:
        while await store.sweep(now, outcomes_before):
            pass

    async def close(self) -> None:
        for store in self._open:
            await store.close()

    def _opened(self, path: Path) -> Store:
        store = EmbeddedStore(path, SystemClock())
        self._open[store] = path
        return store


class TestEmbeddedStore(
    StoreLaws, StoreKeepingLaws, StoreLetterLaws, StoreSearchLaws, StoreComparingLaws
):
    @pytest.fixture
    async def stores(self, tmp_path: Path) -> AsyncIterator[EmbeddedStores]:
        opener = EmbeddedStores(tmp_path)
        yield opener
        await opener.close()

    async def test_a_sweep_is_exact_and_counts_what_went(self, stores: EmbeddedStores) -> None:
        store, collection = await stores.fresh(), new_collection()
        async with store.batch() as batch:
            await batch.insert(collection, [state("due", 1, gc_at=500), state("not", 1, gc_at=501)])
            outcomes = [Outcome(at(offset), Result.QUARANTINED, offset) for offset in (99, 100)]
            await batch.conclude(outcomes, {PARTITION: reached(100)})
        assert await store.sweep(500, 100) == 2
        assert (await store.get(collection, ["due", "not"])).keys() == {"not"}
        assert await store.outcome(at(99)) is None
        assert await store.outcome(at(100)) == outcomes[1]
        assert await store.sweep(500, 100) == 0

    async def test_another_thread_sees_all_up_to_the_applied_position(
        self, stores: EmbeddedStores
    ) -> None:
        """Each batch makes a collection's table: it must not be seen later than the position."""
        store = await stores.fresh()
        collections = [new_collection() for _ in range(300)]

        async def write() -> None:
            for offset, collection in enumerate(collections):
                async with store.batch() as batch:
                    await batch.insert(collection, [state("r", offset)])
                    await batch.conclude([], {PARTITION: reached(offset)})

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(asyncio.run, write())
            while not writing.done():
                for applied in (await store.applied()).values():
                    offset = parse(applied.position).offset
                    assert await read(store, collections[offset], "r") == state("r", offset)
            writing.result()


class MemoryCaches:
    placeholder_ms = 2_000

    def __init__(self) -> None:
        self._clock = HandClock()

    async def fresh(self) -> Cache:
        return MemoryCache(64 * 1024 * 1024, self._clock, SeededEntropy())

    async def wait(self, milliseconds: int) -> None:
        self._clock.advance(milliseconds)


class TestMemoryCache(CacheLaws):
    @pytest.fixture
    def caches(self) -> MemoryCaches:
        return MemoryCaches()


class EmbeddedCatalogs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._open: dict[Catalog, Path] = {}

    async def fresh(self) -> Catalog:
        return self._opened(self._folder / f"catalog{next(self._numbers)}.db")

    async def reopened(self, catalog: Catalog) -> Catalog:
        path = self._open.pop(catalog)
        await catalog.close()
        return self._opened(path)

    async def close(self) -> None:
        for catalog in self._open:
            await catalog.close()

    def _opened(self, path: Path) -> Catalog:
        catalog = EmbeddedCatalog(path, SystemEntropy())
        self._open[catalog] = path
        return catalog


class TestEmbeddedCatalog(CatalogLaws):
    @pytest.fixture
    async def catalogs(self, tmp_path: Path) -> AsyncIterator[EmbeddedCatalogs]:
        opener = EmbeddedCatalogs(tmp_path)
        yield opener
        await opener.close()


class EmbeddedKeyrings:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._open: dict[Keyring, Path] = {}

    async def fresh(self) -> Keyring:
        return self._opened(self._folder / f"keys{next(self._numbers)}.db")

    async def reopened(self, keyring: Keyring) -> Keyring:
        path = self._open.pop(keyring)
        await keyring.close()
        return self._opened(path)

    async def close(self) -> None:
        for keyring in self._open:
            await keyring.close()

    def _opened(self, path: Path) -> Keyring:
        keyring = EmbeddedKeyring(path)
        self._open[keyring] = path
        return keyring


class TestEmbeddedKeyring(KeyringLaws):
    @pytest.fixture
    async def keyrings(self, tmp_path: Path) -> AsyncIterator[EmbeddedKeyrings]:
        opener = EmbeddedKeyrings(tmp_path)
        yield opener
        await opener.close()

    async def test_what_expired_long_ago_goes_with_the_next_key(
        self, keyrings: EmbeddedKeyrings
    ) -> None:
        keyring = await keyrings.fresh()
        await keyring.put(key(1, expires_at=NOW))
        await keyring.put(key(2, created_at=NOW + EXPIRED_KEPT_MS))
        assert ids(await keyring.list("t", "", 10)) == [1, 2]
        await keyring.put(key(3, created_at=NOW + EXPIRED_KEPT_MS + 1))
        assert ids(await keyring.list("t", "", 10)) == [2, 3]
        assert await keyring.find([key(1).digest]) == {}
