"""What the cache in memory promises beyond its port: its size, its jitter, its threads."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support.clock import HandClock
from tests.support.entropy import SeededEntropy

from penstock.adapters.embedded import cache as module
from penstock.adapters.embedded.cache import MemoryCache
from penstock.ports.cache import Cached, Key
from penstock.records.position import position

ENTRY_BYTES = 600
"""What an entry counts beside its body."""


def value(number: int, fence: int = 1, size: int = 400, ttl_ms: int = 60_000) -> Cached:
    where = position(1, 0, fence)
    return Cached("t", "c", f"r{number}", where, where, bytes(size), None, 0, ttl_ms)


def keys(count: int) -> list[Key]:
    return [value(number).key for number in range(count)]


def cache(most_bytes: int = 1_000_000, clock: HandClock | None = None) -> MemoryCache:
    return MemoryCache(most_bytes, clock or HandClock(), SeededEntropy())


async def held(one: MemoryCache, count: int) -> list[int]:
    return [place for place, found in enumerate(await one.get(keys(count))) if found is not None]


async def test_the_least_recently_used_goes_first() -> None:
    one = cache(5 * (ENTRY_BYTES + 400))
    await one.write([value(number) for number in range(5)])
    await one.get(keys(1))
    await one.write([value(5), value(6)])
    assert await held(one, 7) == [0, 3, 4, 5, 6]


async def test_what_it_holds_is_at_hand_and_used_by_being_asked_for() -> None:
    clock = HandClock()
    one = cache(3 * (ENTRY_BYTES + 400), clock)
    await one.reserve(keys(1), "token")
    assert one.at_hand(value(0).key) is None
    await one.write([value(number) for number in range(3)])
    assert one.at_hand(value(0).key) == value(0)
    assert one.at_hand(value(7).key) is None
    await one.write([value(3)])
    assert await held(one, 4) == [0, 2, 3]
    clock.advance(60_000)
    assert one.at_hand(value(0).key) is None


async def test_what_is_replaced_does_not_count_any_more() -> None:
    one = cache(5 * (ENTRY_BYTES + 400))
    for fence in range(1, 50):
        await one.write([value(0, fence, size=fence * 8)])
    await one.write([value(number) for number in range(1, 5)])
    assert await held(one, 5) == [0, 1, 2, 3, 4]


async def test_a_placeholder_counts_and_is_replaced_by_what_fills_it() -> None:
    one = cache(5 * ENTRY_BYTES)
    await one.reserve(keys(6), "token")
    assert await one.present("t", "c", [key.record_id for key in keys(6)]) == {
        "r1", "r2", "r3", "r4", "r5",
    }  # fmt: skip
    await one.fill([value(number, size=0) for number in range(6)], "token")
    assert await held(one, 6) == [1, 2, 3, 4, 5]


async def test_what_is_larger_than_the_cache_is_not_held() -> None:
    one = cache(2_000)
    await one.write([value(0, size=10_000)])
    assert await held(one, 1) == []
    await one.write([value(1)])
    assert await held(one, 2) == [1]


async def test_what_was_filled_together_expires_within_a_tenth_but_not_at_once() -> None:
    clock = HandClock()
    one = cache(clock=clock)
    await one.write([value(number, ttl_ms=1_000) for number in range(200)])
    left: list[int] = []
    for step in (899, 21, 20, 20, 20, 20):
        clock.advance(step)
        left.append(len(await held(one, 200)))
    assert left[0] == 200
    assert left[-1] == 0
    assert len(set(left)) == 6


async def test_claims_are_bounded_by_their_bytes_and_the_oldest_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST_NOTE_BYTES", 10 * (350 + 2 + 1_000))
    one = cache()
    for number in range(30):
        await one.assign(f"{number:02}", bytes(1_000), 60_000)
        await one.assign("00", bytes(1_000), 60_000)
    await one.release("28", bytes(1_000))
    for number in [0, *range(21, 28), 29]:
        assert await one.claim(f"{number:02}", b"", 60_000) == bytes(1_000), number
    for number in [*range(1, 21), 28]:
        assert await one.claim(f"{number:02}", b"", 60_000) is None, number
    await one.assign("large", bytes(20_000), 60_000)
    assert await one.claim("large", b"", 60_000) is None


async def test_counts_are_bounded_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_COUNTS", 10)
    one = cache()
    for number in range(30):
        await one.add({f"{number}": 1}, 60_000)
    assert await one.add({"19": 1}, 60_000) == {"19": 1}
    assert await one.add({"29": 1}, 60_000) == {"29": 2}


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """The interpreter goes from thread to thread wherever it may."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


async def test_two_threads_may_use_it_at_once(eager_switches: None) -> None:
    one = cache(10 * (ENTRY_BYTES + 400))

    async def use(seed: int) -> None:
        chance = random.Random(seed)
        for step in range(10_000):
            number = chance.randrange(15)
            await one.reserve([value(number).key], f"{seed}-{step}")
            await one.fill([value(number, step, step)], f"{seed}-{step}")
            await one.refresh([value(number, step, step)])
            (found,) = await one.get([value(number).key])
            assert found is None or found.record_id == f"r{number}"

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(asyncio.run, use(seed)) for seed in range(2)]:
            done.result()
    # The books are right when, after all of it, exactly as many as fit are held.
    await one.write([value(number, 10_000) for number in range(15)])
    assert await held(one, 15) == list(range(5, 15))
