"""What quotas cost on the way of a request: `python -m bench.limits`.

`GET` of one cached record, from the application's call to its answer, in this process and without a
socket, as is fair to so small a thing; unlimited, with one quota, and with all four, in turns. Then
the parts alone, and what telling other processes takes. CPU time of this thread: the least of the
rounds, which other work on the machine disturbs least, and the median.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import uvloop
from tests.support.asgi import application_of
from tests.support.house import KEY, House

from penstock.access.limits import Granted, Limits, Meter
from penstock.access.principal import Principal
from penstock.access.sharing import Sharing
from penstock.adapters.embedded.cache import MemoryCache
from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.api.asgi import Message
from penstock.api.quota import fields
from penstock.records.scope import EVERYTHING, Rate

PLENTY: Final = Rate(1e9, 1e12)
NOTHING: Final = Rate()
GRANTED: Final = {
    "unlimited": Granted(),
    "requests of the key": Granted(Rate(1e9), NOTHING, 2**20),
    "all four": Granted(PLENTY, PLENTY, 2**20),
}
SECRET: Final = b"0123456789abcdef"
ROUNDS: Final = 15
BATCHES: Final = 150
"""Of requests, each so short that some of them are not disturbed."""


class Asked(NamedTuple):
    """A way to ask."""

    name: str
    application: Any


async def ask(application: Any, times: int) -> float:
    """Microseconds of CPU a request."""
    scope = {
        "type": "http",
        "method": "GET",
        "raw_path": b"/v1/collections/c/records/a",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer " + KEY.encode()), (b"host", b"bench")],
    }

    async def receive() -> Message:
        raise AssertionError("a GET has no body")

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200

    begin = time.thread_time()
    for _ in range(times):
        await application(scope, receive, send)
    return (time.thread_time() - begin) / times * 1e6


async def requests(folder: Path, times: int) -> None:
    house = House(folder, deadline_ms=60_000)
    await house.start()
    try:
        target = await house.collection("c", None)
        put = house.put("a", b'{"site":"A","level":3.5,"note":"' + b"x" * 160 + b'"}')
        await house.parts.ingest.write(target, put, house.deadline())
        await asyncio.sleep(0.3)
        ways = [
            Asked(name, application_of(house, limits=Limits(granted, SECRET)))
            for name, granted in GRANTED.items()
        ]
        found: dict[str, list[float]] = {name: [] for name in GRANTED}
        # As the server has it.
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        for _ in range(BATCHES):
            for name, application in ways:
                found[name].append(await ask(application, times))
    finally:
        await house.stop()
    base = min(found["unlimited"])
    for name, taken_each in found.items():
        least = min(taken_each)
        print(f"GET, {name:20} {least:6.2f} us ({median(taken_each):6.2f})   {least - base:+5.2f}")


def parts() -> None:
    def meter_of(granted: Granted) -> tuple[Limits, Principal, Meter | None]:
        limits, principal = Limits(granted, SECRET), Principal("t", "k", EVERYTHING)
        return limits, principal, limits.meter(principal)

    limits, principal, _ = meter_of(GRANTED["unlimited"])
    print(f"meter, unlimited          {each(lambda: limits.meter(principal)):6.3f} us")
    for name in ("requests of the key", "all four"):
        limited, who, meter = meter_of(GRANTED[name])
        assert meter is not None
        known = meter
        now = time.monotonic()
        print(f"{name}:")
        print(f"  meter                   {each(lambda: limited.meter(who)):6.3f} us")  # noqa: B023  # it is called at once
        print(f"  admit                   {each(lambda: known.admit(now, 100)):6.3f} us")  # noqa: B023  # likewise
        print(f"  debit                   {each(lambda: known.debit(300, now)):6.3f} us")  # noqa: B023  # likewise
        print(f"  fields of the answer    {each(lambda: fields(known, now)):6.3f} us")  # noqa: B023  # likewise


def each(call: Callable[[], object], times: int = 100_000) -> float:
    found = []
    for _ in range(5):
        begin = time.thread_time()
        for _ in range(times):
            call()
        found.append((time.thread_time() - begin) / times * 1e6)
    return min(found)


async def telling(cache: Any, name: str, keys: int) -> None:
    """A round with so many keys that were used, of four buckets each; in one tenant each."""
    clock = SystemClock()
    limits = Limits(GRANTED["all four"], SECRET)
    sharing = Sharing(limits, cache, clock)
    taken, longest = [], 0.0
    for _ in range(ROUNDS):
        for number in range(keys):
            meter = limits.meter(Principal(f"t{number}", "k", EVERYTHING))
            assert meter is not None
            meter.admit(clock.monotonic(), 100)
        begin, wall = time.thread_time(), time.perf_counter()
        await sharing.round()
        taken.append((time.thread_time() - begin) * 1e3)
        longest = max(longest, time.perf_counter() - wall)
    print(
        f"a round of {keys:,} keys, {name}: {min(taken):.1f} ms of CPU ({median(taken):.1f}), "
        f"{longest * 1e3:.0f} ms at most"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--redis", help="the address of a server, to tell other processes by")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        await requests(Path(folder), chosen.times)
    parts()
    clock, entropy = SystemClock(), SystemEntropy()
    await telling(MemoryCache(2**28, clock, entropy), "memory", 1000)
    if chosen.redis:
        from penstock.adapters.redis.cache import RedisCache  # noqa: PLC0415  # because it is optional

        cache = RedisCache(chosen.redis, 0.05, clock, entropy)
        for keys in (10, 1000):
            await telling(cache, "Redis", keys)
        await cache.close()


if __name__ == "__main__":
    uvloop.run(main())
