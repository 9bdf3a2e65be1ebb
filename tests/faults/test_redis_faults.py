"""Redis dead, hanging, emptied: reads are misses, in time, and nothing stale is ever served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.support.servers.fetch import NotAvailable
from tests.support.servers.redis import Redis

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.redis.cache import RedisCache
from penstock.ports.cache import Cached, Key
from penstock.records.position import position

TIMEOUT_S = 0.05
KEY = Key("t", "c", "r")


@pytest.fixture(params=[False, True], ids=["single", "cluster"])
def own_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Redis]:
    """One that may be broken."""
    try:
        server = Redis(tmp_path, cluster=request.param)
    except NotAvailable as error:
        pytest.skip(f"no server to test against: {error}")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def cache(own_redis: Redis) -> AsyncIterator[RedisCache]:
    one = RedisCache(own_redis.url, TIMEOUT_S, SystemClock(), SystemEntropy())
    await soon(lambda: written(one, 0))
    yield one
    await one.close()


def value(offset: int) -> Cached:
    where = position(1, 0, offset)
    return Cached(*KEY, where, where, b"%d" % offset, None, 0, 60_000)


async def soon(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(400):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about")


async def holds(cache: RedisCache, keys: list[Key], values: list[Cached]) -> bool:
    return await cache.get(keys) == values


async def written(cache: RedisCache, offset: int) -> bool:
    await cache.write([value(offset)])
    return await cache.get([KEY]) == [value(offset)]


async def test_a_dead_redis_costs_little_and_nothing_else(
    own_redis: Redis, cache: RedisCache
) -> None:
    assert await written(cache, 1)
    for node in own_redis.nodes:
        node.kill()
    begin = time.perf_counter()
    for _ in range(500):
        assert await cache.get([KEY]) == [None]
        assert await cache.present("t", "c", ["r"]) == set()
        assert await cache.claim("k", b"v", 1000) is None
        assert await cache.add({"n": 1}, 1000) is None
        await cache.write([value(2)])
    # Three calls may take their timeout before it is left alone; then one in a second.
    assert time.perf_counter() - begin < 3 * TIMEOUT_S + 1


async def test_a_hanging_redis_is_a_miss_in_time_and_comes_back(
    own_redis: Redis, cache: RedisCache
) -> None:
    assert await written(cache, 1)
    for node in own_redis.nodes:
        node.pause()
    for _ in range(10):
        begin = time.perf_counter()
        assert await cache.get([KEY]) == [None]
        assert time.perf_counter() - begin < 5 * TIMEOUT_S
    for node in own_redis.nodes:
        node.resume()
    await soon(lambda: holds(cache, [KEY], [value(1)]))
    # What was sent while it hung may have arrived: it was no newer.
    await cache.write([value(0)])
    assert await cache.get([KEY]) == [value(1)]


async def test_a_flush_takes_values_and_the_script_and_no_more(
    own_redis: Redis, cache: RedisCache
) -> None:
    assert await written(cache, 1)
    own_redis.flush()
    for number in range(len(own_redis.nodes)):
        with own_redis.client(number) as client:
            client.script_flush()
    assert await cache.get([KEY]) == [None]
    assert await written(cache, 2)


async def test_where_only_some_nodes_know_the_script_nothing_is_added_twice(
    own_redis: Redis, cache: RedisCache
) -> None:
    names = [f"n{number}" for number in range(50)]
    assert await cache.add(dict.fromkeys(names, 1), 60_000) == dict.fromkeys(names, 1)
    with own_redis.client() as client:
        client.script_flush()
    assert await cache.add(dict.fromkeys(names, 1), 60_000) == dict.fromkeys(names, 2)


async def test_cancelled_requests_never_mix_up_replies(cache: RedisCache) -> None:
    keys = [Key("t", "c", f"r{number}") for number in range(200)]
    where = position(1, 0, 1)
    values = [Cached(*key, where, where, key.record_id.encode(), None, 0, 60_000) for key in keys]
    await cache.write(values)

    async def read(number: int) -> None:
        found = await cache.get(keys[number : number + 3])
        asked = keys[number : number + 3]
        assert all(one is None or one.key == key for one, key in zip(found, asked, strict=True))

    for round_ in range(60):
        tasks = [asyncio.create_task(read(number)) for number in range(0, 190, 7)]
        await asyncio.sleep(0.0005 * (round_ % 4))
        for task in tasks[::2]:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError)
    await soon(lambda: holds(cache, keys, values))
