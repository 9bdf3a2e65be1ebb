"""How fast a worker applies to MongoDB, beside the driver's insert_many and conditional replaces.

The worker's process has one core, the servers what is left of both. The workloads take turns;
medians of records a second, by the clock and by our own CPU time: the latter is what one core of
ours can do where the servers keep up.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import uvloop
from pymongo import ReplaceOne
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB

from penstock.adapters.embedded.cache import MemoryCache
from penstock.adapters.embedded.catalog import EmbeddedCatalog
from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.kafka.address import settings_of
from penstock.adapters.kafka.log import KafkaLog
from penstock.adapters.mongodb.connection import connect, database_of
from penstock.adapters.mongodb.states import document_of
from penstock.adapters.mongodb.store import MongoStore
from penstock.apply.aside import Burst
from penstock.apply.fold import Limits, fold_new
from penstock.apply.housekeeping import Housekeeping
from penstock.apply.indexing import Indexing
from penstock.apply.observed import Observed
from penstock.apply.persist import Persist
from penstock.apply.refresh import Refresh
from penstock.apply.rulebook import Rulebook
from penstock.apply.worker import Worker
from penstock.ports.log import Slice
from penstock.records.collection import Rules, Settings
from penstock.records.operation import Entry, Kind, Operation
from penstock.records.position import Partition, position
from penstock.telemetry.metrics import Metrics

RECORDS = 60_000
BATCH = 4_000
ROUNDS = 3
PARTITIONS = 4
LIMITS = Limits(1 << 20, 10**12)
DAY_MS = 86_400_000


class Measured(NamedTuple):
    wall_s: float
    cpu_s: float


class Bench:
    """A database and a collection for each round."""

    def __init__(self, mongodb: MongoDB, kafka: Kafka, folder: Path) -> None:
        self._url, self._kafka = mongodb.url, kafka
        self._clock, self._entropy = SystemClock(), SystemEntropy()
        self._catalog = EmbeddedCatalog(folder / "catalog.db", self._entropy)
        self._rulebook = Rulebook(self._catalog)
        self._offset = 0
        self.times: dict[str, list[Measured]] = defaultdict(list)

    async def round(self) -> None:
        made = await self._catalog.put("t", f"c{uuid4().hex}", Settings(), 1)
        database = f"bench_{uuid4().hex[:8]}"
        store = MongoStore(self._url, database)
        persist = Persist(store, self._rulebook, LIMITS, Burst(self._clock))
        new, updates = self._slices(made.id, "n"), self._slices(made.id, "n")

        async def apply(slices: list[Slice]) -> None:
            for one in slices:
                await persist.slices([one], lambda _: "a-log")

        await self._ceiling(database, made.id)
        with self._timed("new"):
            await apply(new)
        with self._timed("update"):
            await apply(updates)
        await store.close()
        await self._through_kafka(f"{database}_kafka")
        client = connect(self._url, 10.0)
        for name in (database, f"{database}_kafka"):
            await client.drop_database(name)
        await client.close()

    async def _ceiling(self, database: str, collection_id: str) -> None:
        """Ready documents, as many at once as the worker writes."""
        client = connect(self._url, 10.0)
        collection = database_of(client, database)["ceiling"]
        rules = Rules(Settings())
        parts = [
            [document_of(fold_new(entry, rules, LIMITS)) for entry in one.entries]
            for one in self._slices(collection_id, "x")
        ]
        await collection.insert_one({"_id": "first"})
        runs = [part[start : start + 500] for part in parts for start in range(0, len(part), 500)]
        with self._timed("insert_many"):
            for run in runs:
                await collection.insert_many(run, ordered=False)
        with self._timed("bulk_write"):
            for run in runs:
                await collection.bulk_write([_replace(one) for one in run], ordered=False)
        await client.close()

    async def _through_kafka(self, database: str) -> None:
        """The whole worker, on a log that is full when it starts."""
        made = await self._catalog.put("t", f"c{uuid4().hex}", Settings(), 1)
        log = KafkaLog(
            settings_of(self._kafka.url),
            f"bench-{uuid4().hex}",
            PARTITIONS,
            5_000,
            DAY_MS,
            "classic",
            self._clock,
        )
        for one in self._slices(made.id, "k"):
            await log.append([entry.operation for entry in one.entries], time.monotonic() + 30)
        store = MongoStore(self._url, database)
        cache = MemoryCache(1 << 20, self._clock, self._entropy)
        worker = Worker(
            log,
            store,
            Persist(store, self._rulebook, LIMITS, Burst(self._clock)),
            Refresh(cache, self._rulebook, self._clock),
            Housekeeping(log, store, self._catalog, self._clock, DAY_MS),
            Indexing(store, self._catalog, self._clock),
            Observed(Metrics("worker", "bench"), None, self._clock),
            BATCH,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run(stop))
        # The worker tells nobody when it begins, nor MongoDB how many there are.
        while not worker.assigned and not running.done():  # noqa: ASYNC110  # as said
            await asyncio.sleep(0.001)
        client = connect(self._url, 10.0)
        count = client[database][f"records_{made.id}"].estimated_document_count
        with self._timed("new, from Kafka"):
            while not running.done() and await count() < RECORDS:  # noqa: ASYNC110  # as said
                await asyncio.sleep(0.02)
        stop.set()
        await running
        await client.close()
        await store.close()
        await log.close()

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        wall, cpu = time.monotonic(), time.process_time()
        yield
        one = Measured(time.monotonic() - wall, time.process_time() - cpu)
        self.times[name].append(one)

    def _slices(self, collection_id: str, prefix: str) -> list[Slice]:
        slices = []
        for start in range(0, RECORDS, BATCH):
            entries = []
            for number in range(start, start + BATCH):
                self._offset += 1
                data = json.dumps(_data(number), separators=(",", ":")).encode()
                operation = Operation(
                    int(Kind.PUT), "t", collection_id, f"{prefix}{number:08}",
                    f"p{self._offset:020x}", data,
                )  # fmt: skip
                entries.append(Entry(position(1, 0, self._offset), 2**41, operation))
            slices.append(Slice(Partition(1, 0), entries))
        return slices


def _replace(document: dict[str, Any]) -> ReplaceOne[dict[str, Any]]:
    """Written where the stored fence is lower: how the driver would have it done."""
    new = document | {"fence": document["fence"] + "x"}
    return ReplaceOne({"_id": new["_id"], "fence": {"$lt": new["fence"]}, "parked": None}, new)


def _data(number: int) -> dict[str, Any]:
    """About 200 bytes of JSON."""
    return {
        "site": f"station-{number % 977:04}", "level": number / 7, "flow": number * 3,
        "valid": number % 2 == 0, "unit": "m3/s", "note": "measured by the gauge at the weir " * 2,
        "at": "2026-11-23T12:00:00Z", "tags": ["a", "b", number % 5],
    }  # fmt: skip


async def measure(bench: Bench) -> None:
    for number in range(ROUNDS + 1):
        await bench.round()
        if number == 0:
            bench.times.clear()  # the first one warms up


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        mongodb, kafka = MongoDB(Path(folder)), Kafka(Path(folder))
        try:
            mongodb.launch()
            kafka.launch()
            mongodb.await_ready()
            kafka.await_ready()
            os.sched_setaffinity(0, {0})
            bench = Bench(mongodb, kafka, Path(folder))
            uvloop.run(measure(bench))
        finally:
            kafka.stop()
            mongodb.stop()
    print(f"data of {len(json.dumps(_data(1), separators=(',', ':')))} bytes")
    for name, times in bench.times.items():
        walls = sorted(RECORDS / one.wall_s for one in times)
        cpus = [RECORDS / one.cpu_s for one in times]
        print(
            f"{name:16} {statistics.median(walls):8,.0f}/s  ({walls[0]:,.0f} to {walls[-1]:,.0f})"
            f"  {statistics.median(cpus):8,.0f} per CPU second of ours"
        )


if __name__ == "__main__":
    main()
