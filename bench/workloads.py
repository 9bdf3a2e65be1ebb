"""What is measured of a side: closed loops, and open ones at a given rate."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import uvloop

from bench.children import Child
from bench.load import Exchange, Next, request, run, share
from bench.open_loop import PATIENCE_S, Stream, drive, poisson
from bench.records import READ, SITES
from bench.sides import LINES, Eve, Penstock, Side

PERCENTILES: Final = (*(number / 100 for number in range(1, 100)), 0.995, 0.999)
CONNECTIONS: Final = 64
BULK_CONNECTIONS: Final = 4
_OPEN_CONNECTIONS: Final = 256
_CHECKED: Final = 16
"""One answer of so many is looked at; the status of all."""


class Figure(NamedTuple):
    """Of one run.

    Attributes:
        done: operations answered as they had to be.
        rate: operations, or records of a bulk, per second.
        cpu_rate: the same, per second of CPU time of the service.
        p50_ms: of an operation.
        p99_ms: likewise.
        resident_mib: of the service, at the end.
        load_cpu: the generator's share of its core: close to 1, it was the limit.
        latencies: in ms, at `PERCENTILES`.
        refused: operations that were answered 503.
        unanswered: operations that were due in an open loop and were given up.
    """

    done: int
    rate: float
    cpu_rate: float
    p50_ms: float
    p99_ms: float
    resident_mib: float
    load_cpu: float
    latencies: tuple[float, ...]
    refused: int
    unanswered: int


class Numbers:
    """Of records that nobody has written yet, counted up by each side's collections."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, str], Iterator[int]] = {}

    def of(self, side: str, collection: str) -> Iterator[int]:
        return self._next.setdefault((side, collection), itertools.count())


class Workloads:
    """Runs each kind of work against a side."""

    def __init__(self) -> None:
        self._chance = random.Random(1)

    def puts(self, side: Side | Eve, collection: str, numbers: Iterator[int], s: float) -> Figure:
        """Single writes of new records."""
        return _closed(side.child, CONNECTIONS, lambda: side.put(collection, next(numbers)), s)

    def bulks(self, side: Side, collection: str, numbers: Iterator[int], s: float) -> Figure:
        """Bulks of `LINES` new records."""
        following = lambda: side.bulk(collection, next(numbers) * LINES)  # noqa: E731  # as above
        figure = _closed(side.child, BULK_CONNECTIONS, following, s)
        return figure._replace(rate=figure.rate * LINES, cpu_rate=figure.cpu_rate * LINES)

    def gets(self, side: Side, s: float, *, fresh: bool) -> Figure:
        """Reads of one record, from the cache or past it."""
        return _closed(side.child, CONNECTIONS, self._getter(side, fresh=fresh), s)

    def all_read(self, side: Side) -> None:
        """Every record once: then the cache has all."""
        left = iter(range(READ))

        def following() -> Exchange | None:
            number = next(left, None)
            return None if number is None else side.get(number, fresh=False, checked=True)

        uvloop.run(run(side.child.host, side.child.port, [following] * CONNECTIONS))

    def pages(self, side: Side, s: float) -> Figure:
        """Lists of the newest records of a site."""
        ready = [
            [side.page(site, checked=checked) for site in range(SITES)] for checked in (False, True)
        ]
        return _closed(side.child, CONNECTIONS, self._one_of(ready), s)

    def constant(self, child: Child, s: float) -> Figure:
        """Answers of the HTTP server alone."""
        asked = Exchange(request("GET", "/", ""))
        return _closed(child, CONNECTIONS, lambda: asked, s)

    def gets_at(self, side: Side, rate: float, s: float) -> Figure:
        """Cached reads, open loop."""
        return _open(side.child, self._getter(side, fresh=False), rate, s)

    def puts_at(
        self, side: Side, collection: str, numbers: Iterator[int], rate: float, s: float
    ) -> Figure:
        """Single writes, open loop."""
        return _open(side.child, lambda: side.put(collection, next(numbers)), rate, s)

    def puts_read(
        self, side: Penstock, collection: str, numbers: Iterator[int], rate: float, s: float
    ) -> Figure:
        """Single writes, each read by its receipt at once; the time is that of both."""
        return _open(side.child, lambda: side.put_and_read(collection, next(numbers)), rate, s)

    def _getter(self, side: Side, *, fresh: bool) -> Callable[[], Exchange]:
        ready = [
            [side.get(number, fresh=fresh, checked=checked) for number in range(READ)]
            for checked in (False, True)
        ]
        return self._one_of(ready)

    def _one_of(self, ready: list[list[Exchange]]) -> Callable[[], Exchange]:
        """Any of them, some of them those of the second list, whose answers are looked at."""
        plain, checked = ready
        turns = itertools.cycle([plain] * (_CHECKED - 1) + [checked])
        size, chance = len(plain), self._chance.random
        return lambda: next(turns)[int(chance() * size)]


def _closed(child: Child, connections: int, following: Callable[[], Exchange], s: float) -> Figure:
    end = time.perf_counter() + s
    one: Next = lambda: following() if time.perf_counter() < end else None  # noqa: E731  # short
    before = child.cpu_s
    outcome = uvloop.run(run(child.host, child.port, [one] * connections))
    served = [1000 * taken for taken in outcome.latencies]
    return _figure(child, before, served, outcome.seconds, outcome.cpu_share, outcome.refused, 0)


def _open(child: Child, operation: Callable[[], Exchange], rate: float, s: float) -> Figure:
    """Operations at random moments."""
    stream = Stream(poisson(rate), operation, _OPEN_CONNECTIONS)
    before = child.cpu_s
    load = uvloop.run(drive(child.host, child.port, {"": stream}, s))
    answers = load.answers[""]
    if answers.failures:
        raise answers.failures[0]
    refused = len(answers.refused)
    return _figure(child, before, answers.served, s, load.cpu_share, refused, answers.unanswered)


def _figure(
    child: Child,
    cpu_before_s: float,
    served: list[float],
    seconds: float,
    load_cpu: float,
    refused: int,
    unanswered: int,
) -> Figure:
    """Of a service whose processor time was so much before, by latencies in ms, sorted.

    What was given up counts with the time until then.
    """
    if not served:
        raise RuntimeError("nothing was answered in time: the machine is too busy to measure on")
    latencies = served + [1000 * PATIENCE_S] * unanswered
    return Figure(
        len(served),
        len(served) / seconds,
        len(served) / max(child.cpu_s - cpu_before_s, 0.01),
        share(latencies, 0.5),
        share(latencies, 0.99),
        child.resident_mib,
        load_cpu,
        tuple(share(latencies, part) for part in PERCENTILES),
        refused,
        unanswered,
    )
