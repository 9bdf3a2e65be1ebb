"""Growing a log in Kafka under load: nothing is lost, doubled or reordered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from tests.contract.logs import SOON_S, append, numbered, operation, polled
from tests.support.servers.kafka import Kafka

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.kafka.address import settings_of
from penstock.adapters.kafka.cluster import Cluster, Topic
from penstock.adapters.kafka.generations import Generations
from penstock.adapters.kafka.growing import Growing
from penstock.adapters.kafka.log import KafkaLog
from penstock.adapters.kafka.producer import Appender, Sealed
from penstock.apply.guard import starts
from penstock.errors import ConfigurationError, PenstockError, Unavailable
from penstock.ports.log import Log
from penstock.ports.store import Applied
from penstock.records.operation import Entry
from penstock.records.position import Partition, Position, parse, partition_of

DAY_MS = 86_400_000


@pytest.fixture
def name() -> str:
    return f"penstock-{uuid4().hex}"


@asynccontextmanager
async def opened(kafka: Kafka, name: str, partitions: int = 2) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(
        settings_of(kafka.url), name, partitions, 5_000, DAY_MS, "classic", SystemClock()
    )
    try:
        yield log
    finally:
        await log.close()


async def grow(kafka: Kafka, name: str, partitions: int) -> None:
    growing = Growing(settings_of(kafka.url), name, lambda _: None)
    await asyncio.to_thread(growing.grow, partitions)


class Reflected:
    """How far a store would reflect the log: what `guard.starts` asks a store for."""

    def __init__(self) -> None:
        self.positions: dict[Partition, Position] = {}
        self.entries: list[Entry] = []

    def take(self, entries: Sequence[Entry]) -> None:
        self.entries += entries
        for entry in entries:
            self.positions[partition_of(entry.position)] = entry.position

    def of(self, log: Log) -> Any:
        async def applied() -> Mapping[Partition, Applied]:
            by_id = {entry.position: entry.operation.operation_id for entry in self.entries}
            return {
                partition: Applied(where, log.identity(partition.generation), by_id[where], 0)
                for partition, where in self.positions.items()
            }

        class Store:
            pass

        store: Any = Store()
        store.applied = applied
        return store


async def all_of(log: Log, count: int) -> list[Entry]:
    """What a worker reads, generation by generation: so many entries of ours, in their order."""
    reflected = Reflected()

    async def assign(partitions: Sequence[Partition]) -> Mapping[Partition, Position | None]:
        return await starts(log, reflected.of(log), partitions)

    consumer = log.consumer(assign)
    async with asyncio.timeout(SOON_S):
        while len(ours(reflected.entries)) < count:
            reflected.take(await polled(consumer, 1000, 0.2))
    reflected.take(await polled(consumer, 1000, 0.2))
    await consumer.close()
    return ours(reflected.entries)


def ours(entries: Sequence[Entry]) -> list[Entry]:
    """Without probes and marks: they are of no collection."""
    return [entry for entry in entries if entry.operation.collection_id]


async def test_appends_under_way_go_on_in_the_new_generation_in_their_order(
    kafka: Kafka, name: str
) -> None:
    """Four processes' worth of writers; of each record the numbers rise, and none is missing."""
    async with opened(kafka, name) as log, opened(kafka, name) as other:
        stop, answers = False, dict[str, list[Position]]()

        async def write(log: Log, record_id: str) -> None:
            number = 0
            while not stop:
                answers.setdefault(record_id, [])
                answers[record_id] += await append(
                    log, numbered(record_id, range(number, number + 3))
                )
                number += 3

        writers = [
            asyncio.create_task(write(one, f"{side}-{number}"))
            for side, one in enumerate((log, other))
            for number in range(8)
        ]
        await until(lambda: all(len(one) > 9 for one in answers.values()) and len(answers) == 16)
        await grow(kafka, name, 5)
        grown = {record_id: len(known) for record_id, known in answers.items()}
        await until(lambda: all(len(answers[one]) > count + 9 for one, count in grown.items()))
        stop = True
        await asyncio.gather(*writers)
        entries = await all_of(log, sum(map(len, answers.values())))
        assert {parse(entry.position).generation for entry in entries} == {1, 2}
        assert {parse(one.position).partition for one in entries} == {0, 1, 2, 3, 4}
        for record_id, positions in answers.items():
            own = [one for one in entries if one.operation.record_id == record_id]
            assert [one.position for one in own] == positions == sorted(positions)
            assert [int(one.operation.data) for one in own] == list(range(len(own)))


async def test_the_new_generation_is_read_when_the_old_one_is_applied_to_its_end(
    kafka: Kafka, name: str
) -> None:
    async with opened(kafka, name) as log:
        old = await append(log, numbered("r", range(5)))
        await grow(kafka, name, 3)
        new = await append(log, numbered("r", range(5, 9)))
        reflected = Reflected()
        assert {one.generation for one in await log.bounds()} == {1, 2}
        partitions = sorted(await log.bounds())
        assert {one.generation for one in await starts(log, reflected.of(log), partitions)} == {1}
        entries = await all_of(log, 9)
        assert [one.position for one in entries] == old + new


async def test_a_process_that_has_not_heard_of_it_cannot_append_to_a_sealed_generation(
    kafka: Kafka, name: str
) -> None:
    """The smallest entry there is, to every partition, by a producer that knows the old topic."""
    generations = Generations(Cluster(settings_of(kafka.url)), name)
    generations.open(2, DAY_MS)
    appender, stale = Appender(settings_of(kafka.url), 5_000, SystemClock()), generations.current
    async with opened(kafka, name) as log:
        await grow(kafka, name, 3)
        ends = await log.bounds()
        smallest = [operation(f"{number}", b"", operation_id="p") for number in range(20)]
        assert stale is not None
        answers = await appender.append(smallest, stale)
        assert [type(one) for one in answers] == [Sealed] * 20
        assert await log.bounds() == ends
        assert {parse(one).generation for one in await append(log, smallest)} == {2}
    appender.close()


class Behind(Cluster):
    """As if other brokers were asked after the first that knows of a topic: they do not yet."""

    has_seen = False

    def topics(self, names: Sequence[str]) -> list[Topic]:
        found = [] if self.has_seen else super().topics(names)
        self.has_seen = self.has_seen or bool(found)
        return found


async def test_a_topic_just_created_is_known_though_other_brokers_do_not_know_of_it(
    kafka: Kafka, name: str
) -> None:
    generations = Generations(Behind(settings_of(kafka.url)), name)
    generations.open(2, DAY_MS)
    generations.refresh()
    assert [(one.number, one.topic.partitions) for one in generations.all] == [(1, 2)]


async def test_growing_that_was_interrupted_goes_on_by_the_same_call(
    kafka: Kafka, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of its steps; meanwhile writes are refused in time, or go to the old one."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    async with opened(kafka, name) as log:
        known = await append(log, numbered("r", range(2)))
        for step in ("seal", "_until_refused", "_end", "begin"):
            with monkeypatch.context() as patch:
                patch.setattr(Growing if step.startswith("_") else Generations, step, killed)
                with pytest.raises(KeyboardInterrupt):
                    await grow(kafka, name, 3)
            (answer,) = await log.append(
                [operation("r", b"%d" % len(known))], time.monotonic() + 0.3
            )
            if isinstance(answer, PenstockError):
                assert isinstance(answer, Unavailable)
                assert answer.code == "log_unavailable"
            else:
                known.append(answer)
            with pytest.raises(ConfigurationError, match="to 3 partitions was begun"):
                await grow(kafka, name, 4)
        await grow(kafka, name, 3)
        known += await append(log, numbered("r", range(len(known), len(known) + 3)))
        assert parse(known[-1]).generation == 2
        entries = await all_of(log, len(known))
        assert [one.position for one in entries] == known
        assert [int(one.operation.data) for one in entries] == list(range(len(known)))


async def test_what_cannot_be_grown_is_refused_in_a_sentence(kafka: Kafka, name: str) -> None:
    with pytest.raises(ConfigurationError, match="no log of this name"):
        await grow(kafka, name, 3)
    async with opened(kafka, name):
        with pytest.raises(ConfigurationError, match="has 2 partitions already"):
            await grow(kafka, name, 2)


async def test_a_log_that_is_opened_after_it_was_grown_twice_reads_all(
    kafka: Kafka, name: str
) -> None:
    positions: list[Position] = []
    for round_ in range(3):
        async with opened(kafka, name) as log:
            positions += await append(log, numbered("r", range(round_ * 4, round_ * 4 + 4)))
        if round_ < 2:
            await grow(kafka, name, 3 + round_)
    async with opened(kafka, name) as log:
        entries = await all_of(log, 12)
        assert [one.position for one in entries] == positions
        assert sorted({parse(one).generation for one in positions}) == [1, 2, 3]


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not reached():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


async def test_the_first_topic_may_be_made_before_there_is_anything_else(
    kafka: Kafka, name: str
) -> None:
    growing = Growing(settings_of(kafka.url), name, lambda _: None)
    for partitions in (3, 5):  # the second time it is there, and stays as it is
        await asyncio.to_thread(growing.create, partitions, DAY_MS)
        (only,) = await asyncio.to_thread(growing.generations)
        assert (only.topic.name, only.topic.partitions) == (f"{name}.g1", 3)
    async with opened(kafka, name) as log:
        await append(log, [operation("r")])
