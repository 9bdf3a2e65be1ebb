"""The Redis adapter under the laws of the cache, on a single server and on a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest
from tests.contract.cache_laws import CacheLaws
from tests.support.servers.redis import Redis

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.redis.cache import RedisCache
from penstock.ports.cache import Cache

_LATE_MS: Final = 50


class RedisCaches:
    placeholder_ms = 2_000

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._open: list[Cache] = []

    async def fresh(self) -> Cache:
        self._redis.flush()
        cache = RedisCache(self._redis.url, 5.0, SystemClock(), SystemEntropy())
        self._open.append(cache)
        return cache

    async def wait(self, milliseconds: int) -> None:
        # The server counts whole milliseconds from when it was told.
        await asyncio.sleep((milliseconds + _LATE_MS) / 1000)

    async def close(self) -> None:
        for cache in self._open:
            await cache.close()


class TestSingle(CacheLaws):
    @pytest.fixture
    async def caches(self, redis: Redis) -> AsyncIterator[RedisCaches]:
        opened = RedisCaches(redis)
        yield opened
        await opened.close()


class TestCluster(CacheLaws):
    @pytest.fixture
    async def caches(self, redis_cluster: Redis) -> AsyncIterator[RedisCaches]:
        opened = RedisCaches(redis_cluster)
        yield opened
        await opened.close()
