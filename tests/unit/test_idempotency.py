"""What is remembered under an Idempotency-Key, and what is made of a memory that is not ours."""

from __future__ import annotations

from itertools import product

import pytest
from tests.support.clock import HandClock
from tests.support.entropy import SeededEntropy

from penstock.adapters.embedded.cache import MemoryCache
from penstock.errors import Conflict, Invalid
from penstock.ingest.idempotency import Finished, Idempotency
from penstock.records.operation import client_operation_id
from penstock.records.position import position

DAY_MS = 24 * 3_600_000
FINISHED: Finished = ("r", "receipt", position(1, 0, 1), "k1")


class Mixed(MemoryCache):
    """Hands out what is remembered under another key."""

    def __init__(self, clock: HandClock, given: bytes) -> None:
        super().__init__(1_000_000, clock, SeededEntropy())
        self.given = given

    async def claim(self, key: str, value: bytes, ttl_ms: int) -> bytes | None:
        return self.given


class Process:
    """Remembers through a cache that it may share."""

    def __init__(self, cache: MemoryCache, clock: HandClock, seed: int = 0) -> None:
        self._entropy = SeededEntropy(seed)
        self.clock = clock
        self.idempotency = Idempotency(cache, clock, DAY_MS)

    @property
    def attempt(self) -> str:
        """Another one each time."""
        return f"{self._entropy.bits(80):020x}"

    async def ask(self, key: str, request: bytes, came_to: Finished | None) -> Finished | None:
        """What was remembered; else it comes to that."""
        deadline = self.clock.monotonic() + 0.5
        async with self.idempotency.once(key, request, self.attempt, deadline) as once:
            if once.finished is None:
                once.finished = came_to
                return None
            return once.finished


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def cache(clock: HandClock) -> MemoryCache:
    return MemoryCache(1_000_000, clock, SeededEntropy())


async def test_what_a_request_came_to_is_replayed_for_a_day(
    cache: MemoryCache, clock: HandClock
) -> None:
    one, other = Process(cache, clock, 1), Process(cache, clock, 2)
    assert await one.ask("k1", b"same", FINISHED) is None
    clock.advance(DAY_MS - 1000)
    assert await other.ask("k1", b"same", None) == FINISHED
    with pytest.raises(Invalid):
        await other.ask("k1", b"another", None)
    clock.advance(1000)
    assert await other.ask("k1", b"another", FINISHED) is None


async def test_a_request_that_failed_may_be_made_again_at_once(
    cache: MemoryCache, clock: HandClock
) -> None:
    one = Process(cache, clock)
    assert await one.ask("k1", b"same", None) is None
    assert await one.ask("k1", b"same", FINISHED) is None


async def test_a_late_failure_does_not_take_back_what_another_process_has_claimed(
    cache: MemoryCache, clock: HandClock
) -> None:
    one, other = Process(cache, clock, 1), Process(cache, clock, 2)
    late = one.idempotency.once("k1", b"same", one.attempt, clock.monotonic() + 0.5)
    await late.__aenter__()
    with pytest.raises(Conflict):
        await other.ask("k1", b"same", None)
    # As if the process had been stopped, long enough to be given up.
    clock.advance(1_600)
    begun = other.idempotency.once("k1", b"same", other.attempt, clock.monotonic() + 0.5)
    await begun.__aenter__()
    await late.__aexit__(None, None, None)
    with pytest.raises(Conflict):
        await one.ask("k1", b"same", None)
    await begun.__aexit__(None, None, None)
    assert await one.ask("k1", b"same", FINISHED) is None


@pytest.mark.parametrize("given", [b"", b"\xff", b"\x93\xa1k\xc4\x00\x05", b"[1,2]"])
async def test_a_memory_that_is_not_ours_is_none(clock: HandClock, given: bytes) -> None:
    one = Process(Mixed(clock, given), clock)
    assert await one.ask("k1", b"same", FINISHED) is None


async def test_another_requests_memory_is_never_replayed(
    cache: MemoryCache, clock: HandClock
) -> None:
    await Process(cache, clock).ask("k1", b"same", FINISHED)
    foreign = await cache.claim("k1", b"", 1)
    assert foreign is not None
    assert await Process(Mixed(clock, foreign), clock).ask("k2", b"same", FINISHED) is None


def test_no_tenant_reaches_anothers_key_by_a_delimiter() -> None:
    parts = ["a", "b", "a:b", "b:c", "c", ":", "a/b", "k", "a b"]
    ids = [client_operation_id(*each) for each in product(parts, repeat=3)]
    assert len(set(ids)) == len(parts) ** 3
