"""How far the store is behind, with the clock held still."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from tests.support.clock import HandClock
from tests.support.scraping import Scraped

from penstock.apply.lag import Lag, LagWatch, lags
from penstock.apply.worker import end
from penstock.errors import LogDiverged, PenstockError, Unavailable
from penstock.ports.log import Bounds
from penstock.ports.store import Applied
from penstock.records.operation import Entry, Kind, Operation
from penstock.records.position import Partition, Position, parse, position
from penstock.telemetry.metrics import Metrics

A, B = Partition(1, 0), Partition(1, 1)


class Engines:
    """A log and a store, as far as they are asked; entries have the times in `times`."""

    def __init__(self) -> None:
        self.ends = {A: Bounds(0, 0), B: Bounds(0, 0)}
        self.reached: dict[Partition, Applied] = {}
        self.times: dict[Position, int] = {}
        self.read = 0
        self.error: PenstockError | None = None

    def append(self, partition: Partition, time: int) -> None:
        start, end = self.ends[partition]
        self.times[position(*partition, end)] = time
        self.ends[partition] = Bounds(start, end + 1)

    def apply(self, partition: Partition, offset: int) -> None:
        where = position(*partition, offset)
        self.reached[partition] = Applied(where, "log", "p1", self.times[where])

    async def bounds(self) -> Mapping[Partition, Bounds]:
        if self.error is not None:
            raise self.error
        return self.ends

    async def applied(self) -> Mapping[Partition, Applied]:
        return self.reached

    async def entry(self, where: Position, /) -> Entry | None:
        self.read += 1
        assert parse(where).offset < 100
        return Entry(where, self.times[where], Operation(int(Kind.PUT), "t", "c", "r", "p1"))


class Watched:
    """A watch on these engines, and what it says."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.engines = Engines()
        self.metrics = Metrics("worker", "")
        self.watch = LagWatch(self.engines, self.engines, self.clock, self.metrics)

    def append(self, partition: Partition) -> None:
        self.engines.append(partition, self.clock.now())

    async def look(self) -> list[tuple[float, float]]:
        """Entries and seconds of both partitions."""
        await self.watch.look()
        found = Scraped(self.metrics.scrape()[0].decode())
        return [
            (
                found.value("penstock_lag_entries", generation="1", partition=number),
                found.value("penstock_lag_seconds", generation="1", partition=number),
            )
            for number in "01"
        ]


async def test_the_command_tells_the_age_of_the_oldest_entry_not_applied() -> None:
    clock, engines = HandClock(), Engines()
    for _ in range(3):
        engines.append(A, clock.now())
        clock.advance(10_000)
    engines.append(B, clock.now())
    engines.apply(A, 0)
    clock.advance(5_000)
    assert await lags(engines, engines, clock) == [Lag(A, 2, 25.0), Lag(B, 1, 5.0)]


async def test_what_is_applied_is_not_read() -> None:
    clock, engines = HandClock(), Engines()
    engines.append(A, clock.now())
    engines.apply(A, 0)
    clock.advance(60_000)
    assert await lags(engines, engines, clock) == [Lag(A, 0, 0.0), Lag(B, 0, 0.0)]
    assert engines.read == 0


async def test_an_entry_after_a_long_silence_is_as_old_as_the_last_look_at_most() -> None:
    one = Watched()
    one.append(A)
    one.engines.apply(A, 0)
    one.clock.advance(3_600_000)
    assert await one.look() == [(0, 0), (0, 0)]
    one.clock.advance(1_500)
    one.append(A)
    one.clock.advance(500)
    assert await one.look() == [(1, 2.0), (0, 0)]
    assert one.engines.read == 0


async def test_the_lag_in_seconds_follows_what_is_applied() -> None:
    one = Watched()
    for _ in range(10):
        one.append(A)
        one.clock.advance(1_000)
    one.engines.apply(A, 3)
    assert (await one.look())[0] == (6, 7.0)
    one.engines.apply(A, 8)
    assert (await one.look())[0] == (1, 2.0)
    one.engines.apply(A, 9)
    assert (await one.look())[0] == (0, 0)


async def test_of_what_was_never_applied_the_first_entry_tells() -> None:
    one = Watched()
    one.append(B)
    one.clock.advance(90_000)
    one.append(B)
    assert await one.look() == [(0, 0), (2, 90.0)]
    assert one.engines.read == 1


@pytest.mark.parametrize(
    "error", [Unavailable("log_unavailable", retry_after=1), LogDiverged("It is another one.")]
)
async def test_a_watch_goes_on_whatever_became_of_the_log(error: PenstockError) -> None:
    watched = Watched()
    watched.engines.error = error
    watching = asyncio.create_task(watched.watch.run())
    await asyncio.sleep(0.01)
    assert not watching.done()
    await end(watching)
