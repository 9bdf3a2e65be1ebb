"""Waiting until the store reflects the log: one asks for all who wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from tests.contract.stores import conclude, reached

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.store import EmbeddedStore
from penstock.errors import DeadlineExceeded, Unavailable
from penstock.ports.store import Applied
from penstock.query.freshness import Freshness, Wanted
from penstock.records.position import Partition


class Counted(EmbeddedStore):
    """Counts how often it is asked how far it is, and fails or hangs for as long as it is to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SystemClock())
        self.asked = 0
        self.fails = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def applied(self, time_s: float | None = None) -> Mapping[Partition, Applied]:
        self.asked += 1
        if self.fails:
            raise Unavailable("store_unavailable", retry_after=1)
        await self.goes_on.wait()
        return await super().applied(time_s)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Counted]:
    store = Counted(tmp_path / "store.db")
    yield store
    await store.close()


@pytest.fixture
def freshness(store: Counted) -> Freshness:
    return Freshness(store, SystemClock())


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def wanted(offset: int, partition: int = 0) -> Wanted:
    return (reached(offset, partition).position,)


async def test_what_is_applied_is_reached_and_nothing_is_always(
    store: Counted, freshness: Freshness
) -> None:
    await conclude(store, [], reached(5), reached(2, 1))
    assert await freshness.reached((), soon())
    assert store.asked == 0
    assert await freshness.reached(wanted(5) + wanted(2, 1), soon())
    assert not await freshness.reached(wanted(5) + wanted(3, 1), soon(0.05))


async def test_many_wait_and_one_asks_for_all(store: Counted, freshness: Freshness) -> None:
    waiting = [asyncio.create_task(freshness.reached(wanted(n), soon())) for n in range(100)]
    await asyncio.sleep(0.1)
    # Every 2 ms at the most, whoever waits.
    assert 2 <= store.asked <= 50
    await conclude(store, [], reached(59))
    done, left = await asyncio.wait(waiting, timeout=0.2)
    assert (len(done), len(left)) == (60, 40)
    await conclude(store, [], reached(99))
    assert all(await asyncio.gather(*waiting))
    await asyncio.sleep(0.05)
    asked = store.asked
    await asyncio.sleep(0.05)
    assert store.asked == asked


async def test_a_store_that_cannot_be_asked_is_told_at_once_to_all_who_wait(
    store: Counted, freshness: Freshness
) -> None:
    store.fails = True
    found = await asyncio.gather(
        *(freshness.reached(wanted(n), soon()) for n in range(3)), return_exceptions=True
    )
    assert [getattr(one, "code", "") for one in found] == ["store_unavailable"] * 3
    store.fails = False
    await conclude(store, [], reached(1))
    assert await freshness.reached(wanted(1), soon())


async def test_of_a_store_that_says_nothing_nobody_hears_that_a_write_is_not_applied(
    store: Counted, freshness: Freshness
) -> None:
    await conclude(store, [], reached(1))
    assert await freshness.reached(wanted(1), soon())
    store.goes_on.clear()
    for asked in (wanted(1), wanted(2)):
        with pytest.raises(DeadlineExceeded):
            await freshness.reached(asked, soon(0.05))
    store.goes_on.set()
    assert await freshness.reached(wanted(1), soon())
    assert not await freshness.reached(wanted(2), soon(0.05))


async def test_an_answer_to_what_was_asked_before_a_read_tells_that_read_nothing(
    store: Counted, freshness: Freshness
) -> None:
    store.goes_on.clear()
    first = asyncio.create_task(freshness.reached(wanted(1), soon(0.1)))
    await asyncio.sleep(0.01)
    assert store.asked == 1
    second = asyncio.create_task(freshness.reached(wanted(1), soon(0.1)))
    await asyncio.sleep(0)
    # The one question is answered, and the next one is not.
    store.goes_on.set()
    store.goes_on.clear()
    assert not await first
    with pytest.raises(DeadlineExceeded):
        await second


async def test_what_is_new_is_known_as_such_once_the_store_was_asked(
    store: Counted, freshness: Freshness
) -> None:
    assert not freshness.is_new(wanted(1))
    await conclude(store, [], reached(1))
    assert await freshness.reached(wanted(1), soon())
    assert not freshness.is_new(wanted(1))
    assert freshness.is_new(wanted(2))
