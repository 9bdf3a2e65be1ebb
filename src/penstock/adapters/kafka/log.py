"""The log in Apache Kafka: a topic for each generation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from penstock.adapters.kafka.appending import Appending
from penstock.adapters.kafka.cluster import Cluster, Settings, patiently, unavailable
from penstock.adapters.kafka.consumer import KafkaConsumer
from penstock.adapters.kafka.end import end_entry, is_end
from penstock.adapters.kafka.generations import Generations
from penstock.adapters.kafka.message import entry_of
from penstock.errors import DeadlineExceeded, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.log import Appended, Assign, Bounds
from penstock.records.operation import Entry, Operation
from penstock.records.position import Partition, Position, parse

_ASK_S: Final = 10.0


class KafkaLog:
    """`ports.log.Log` on the topics `<name>.g<generation>`; see `generations` for which is which.

    Durable is what all in-sync replicas have acknowledged, at least `min.insync.replicas` of them.

    Args:
        settings: of the cluster.
        name: of the log.
        partitions: of the first topic, where it is created.
        timeout_ms: after which an append is given up, its outcome unknown.
        retention_ms: of the first topic, where it is created.
        group_protocol: of the group of workers, `classic` or `consumer`.
        clock: for deadlines.
        appended: told after each round of delivery reports how many entries became durable.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        partitions: int,
        timeout_ms: int,
        retention_ms: int,
        group_protocol: str,
        clock: Clock,
        appended: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._name = name
        self._protocol = group_protocol
        self._clock = clock
        self._generations = Generations(Cluster(settings), name)
        self._generations.open(partitions, retention_ms)
        self._appending = Appending(settings, self._generations, timeout_ms, clock, appended)
        self._reader = Consumer(
            {
                **settings,
                "group.id": f"{name}.reader",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        self._reading = threading.Lock()
        self._closed = False

    def identity(self, generation: int) -> str:
        known = self._generations.get(generation)
        assert known is not None, "a generation of which `bounds` has told"
        return known.topic.identity

    async def append(self, operations: Sequence[Operation], deadline: float) -> list[Appended]:
        if self._closed:
            return [Unavailable("shutting_down", retry_after=1)] * len(operations)
        if deadline <= self._clock.monotonic():
            return [DeadlineExceeded()] * len(operations)
        return await self._appending.append(operations, deadline)

    async def bounds(self) -> Mapping[Partition, Bounds]:
        return await asyncio.to_thread(self._bounds)

    async def entry(self, position: Position) -> Entry | None:
        generation, number, offset = parse(position)
        known = self._generations.get(generation)
        if known is None or number >= known.topic.partitions:
            return None
        where = TopicPartition(known.topic.name, number, offset)
        return await asyncio.to_thread(self._entry, where, position)

    def consumer(self, assign: Assign) -> KafkaConsumer:
        group = f"{self._name}.workers"
        return KafkaConsumer(
            self._settings, self._generations, group, self._protocol, assign, self._clock
        )

    async def trim(self, before: Position, older_than: int) -> int:
        """The brokers do that, after `retention.ms`."""
        del before, older_than
        return 0

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._appending.close)
        await asyncio.to_thread(self._reader.close)

    # On another thread: librdkafka blocks.

    def _bounds(self) -> Mapping[Partition, Bounds]:
        # First which have begun: the ends of those before them, read afterwards, are final.
        self._generations.refresh()
        return {
            Partition(one.number, number): self._watermarks(TopicPartition(one.topic.name, number))
            for one in self._generations.all
            if one.is_begun
            for number in range(one.topic.partitions)
        }

    def _watermarks(self, where: TopicPartition) -> Bounds:
        found = patiently(lambda: self._reader.get_watermark_offsets(where, timeout=_ASK_S))
        if found is None:
            raise unavailable(f"no offsets of partition {where.partition} of {where.topic}")
        return Bounds(*found)

    def _entry(self, where: TopicPartition, position: Position) -> Entry | None:
        bounds = self._watermarks(where)
        if not bounds.start <= where.offset < bounds.end:
            return None
        with self._reading:
            self._reader.assign([where])
            try:
                message = patiently(lambda: self._reader.poll(_ASK_S))
            finally:
                self._reader.unassign()
        if message is None or message.error() is not None:
            raise unavailable(f"the entry at {position} could not be read")
        if message.offset() != where.offset:
            return None
        return end_entry(message, position) if is_end(message) else entry_of(message, position)
