"""redis-py beside valkey-glide, as the cache would use them: `python -m bench.redis_clients`.

Needs `pip install valkey-glide`. Coalesced load: pipelines of GETs from one event loop, some under
way at once. A storm: the same, and half of the calls are cancelled at a random moment. Every reply
has to be the value of its key: mixed-up replies are counted, not assumed away.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import glide
import uvloop
from redis.asyncio import Redis as RedisPy
from redis.asyncio.cluster import RedisCluster
from tests.support.servers.redis import Redis

KEYS = 10_000
SECONDS = 1.0
ROUNDS = 3
AT_ONCE = 32
SIZES = (1, 30, 500)

Get = Callable[[Sequence[str]], Awaitable[Sequence[Any]]]


def value_of(key: str) -> bytes:
    return f"{key}:".encode() * 20


def _first(url: str) -> str:
    """The first host of an address."""
    return url.partition("//")[2].partition(",")[0]


async def of_redis_py(url: str, *, cluster: bool) -> tuple[Get, Callable[[], Awaitable[None]]]:
    client: Any = (RedisCluster if cluster else RedisPy).from_url(f"redis://{_first(url)}")

    async def get(keys: Sequence[str]) -> Sequence[Any]:
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.get(key)
        return list(await pipeline.execute(raise_on_error=False))

    return get, client.aclose


async def of_glide(url: str, *, cluster: bool) -> tuple[Get, Callable[[], Awaitable[None]]]:
    host, port = _first(url).split(":")
    address = [glide.NodeAddress(host, int(port))]
    client: Any
    if cluster:
        client = await glide.GlideClusterClient.create(
            glide.GlideClusterClientConfiguration(address)
        )
    else:
        client = await glide.GlideClient.create(glide.GlideClientConfiguration(address))
    kind: Any = glide.ClusterBatch if cluster else glide.Batch

    async def get(keys: Sequence[str]) -> Sequence[Any]:
        batch = kind(is_atomic=False)
        for key in keys:
            batch.get(key)
        return list(await client.exec(batch, raise_on_error=False))

    return get, client.close


class Load:
    """One client under load."""

    def __init__(self, get: Get, size: int, seed: int) -> None:
        self._get = get
        self._size = size
        self._random = random.Random(seed)
        self.keys = self.mixed = self.cancelled = 0
        self.times: list[float] = []

    async def run(self, *, storm: bool) -> None:
        until = time.monotonic() + SECONDS
        await asyncio.gather(*(self._one(until, storm=storm) for _ in range(AT_ONCE)))

    async def _one(self, until: float, *, storm: bool) -> None:
        while time.monotonic() < until:
            keys = [f"k{self._random.randrange(KEYS)}" for _ in range(self._size)]
            began = time.monotonic()
            asking = asyncio.ensure_future(self._get(keys))
            if storm and self._random.random() < 0.5:
                await asyncio.sleep(self._random.random() * 0.003)
                self.cancelled += asking.cancel()
            with suppress(asyncio.CancelledError):
                replies = await asking
                self.mixed += sum(
                    reply != value_of(key) for key, reply in zip(keys, replies, strict=True)
                )
                self.keys += len(keys)
                self.times.append(time.monotonic() - began)


async def measure(redis: Redis, *, cluster: bool) -> None:
    makers = {"redis-py": of_redis_py, "valkey-glide": of_glide}
    figures: dict[tuple[str, int, bool], list[Load]] = defaultdict(list)
    for seed in range(ROUNDS):
        for size in SIZES:
            for storm in (False, True):
                for name, make in makers.items():
                    get, close = await make(redis.url, cluster=cluster)
                    load = Load(get, size, seed)
                    await load.run(storm=storm)
                    figures[name, size, storm].append(load)
                    await close()
    for (name, size, storm), loads in figures.items():
        rate = statistics.median(load.keys / SECONDS for load in loads)
        tail = statistics.median(sorted(one.times)[int(len(one.times) * 0.99)] for one in loads)
        mixed, cancelled = (
            sum(getattr(one, what) for one in loads) for what in ("mixed", "cancelled")
        )
        print(
            f"{'cluster' if cluster else 'single':8} {'storm' if storm else 'load':6}"
            f" {size:4} keys  {name:13} {rate:9,.0f} keys/s  p99 {tail * 1000:6.1f} ms"
            f"  {cancelled:7,} cancelled  {mixed} mixed up"
        )


async def fill(redis: Redis, *, cluster: bool) -> None:
    client: Any = (RedisCluster if cluster else RedisPy).from_url(f"redis://{_first(redis.url)}")
    for number in range(KEYS):
        await client.set(f"k{number}", value_of(f"k{number}"))
    await client.aclose()


async def everything(redis: Redis, *, cluster: bool) -> None:
    await fill(redis, cluster=cluster)
    await measure(redis, cluster=cluster)


def main() -> None:
    for cluster in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            redis = Redis(Path(folder), cluster=cluster)
            try:
                redis.start()
                uvloop.run(everything(redis, cluster=cluster))
            finally:
                redis.stop()


if __name__ == "__main__":
    main()
