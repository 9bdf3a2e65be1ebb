"""The log in Apache Kafka: one topic a generation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from penstock.adapters.kafka.cluster import Cluster, Settings, patiently, topic_of, unavailable
from penstock.adapters.kafka.consumer import KafkaConsumer
from penstock.adapters.kafka.message import entry_of
from penstock.adapters.kafka.producer import Appender
from penstock.errors import DeadlineExceeded, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.log import Appended, Assign, Bounds
from penstock.records.operation import Entry, Operation
from penstock.records.position import Partition, Position, parse

_ASK_S: Final = 10.0


class KafkaLog:
    """`ports.log.Log` on the topic of the current generation.

    Durable is what all in-sync replicas have acknowledged, at least `min.insync.replicas` of them.

    Args:
        settings: of the cluster.
        name: of the log: its topics are `<name>.g<generation>`.
        partitions: of a topic that is created.
        timeout_ms: after which an append is given up, its outcome unknown.
        retention_ms: of a topic that is created.
        clock: for deadlines.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        partitions: int,
        timeout_ms: int,
        retention_ms: int,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._name = name
        self._clock = clock
        self._generation = 1
        self._topic = topic_of(name, self._generation)
        self._cluster = Cluster(settings)
        self._identity, count = self._cluster.open_topic(self._topic, partitions, retention_ms)
        self._numbers = range(count)
        self._appender = Appender(settings, self._topic, self._generation, count, timeout_ms)
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

    @property
    def identity(self) -> str:
        return self._identity

    async def append(self, operations: Sequence[Operation], deadline: float) -> list[Appended]:
        if self._closed:
            return [Unavailable("shutting_down", retry_after=1)] * len(operations)
        if deadline <= self._clock.monotonic():
            return [DeadlineExceeded()] * len(operations)
        return await self._appender.append(operations)

    async def bounds(self) -> Mapping[Partition, Bounds]:
        return await asyncio.to_thread(self._bounds)

    async def entry(self, position: Position) -> Entry | None:
        generation, number, offset = parse(position)
        if generation != self._generation or number not in self._numbers:
            return None
        return await asyncio.to_thread(self._entry, number, offset, position)

    def consumer(self, assign: Assign) -> KafkaConsumer:
        group = f"{self._name}.workers"
        return KafkaConsumer(self._settings, self._topic, self._generation, group, assign)

    async def trim(self, before: Position, older_than: int) -> int:
        """The brokers do that, after `retention.ms`."""
        del before, older_than
        return 0

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._appender.close)
        await asyncio.to_thread(self._reader.close)

    # On another thread: librdkafka blocks.

    def _bounds(self) -> Mapping[Partition, Bounds]:
        return {
            Partition(self._generation, number): self._watermarks(number)
            for number in self._numbers
        }

    def _watermarks(self, number: int) -> Bounds:
        partition = TopicPartition(self._topic, number)
        found = patiently(lambda: self._reader.get_watermark_offsets(partition, timeout=_ASK_S))
        if found is None:
            raise unavailable(f"no offsets of partition {number}")
        return Bounds(*found)

    def _entry(self, number: int, offset: int, position: Position) -> Entry | None:
        bounds = self._watermarks(number)
        if not bounds.start <= offset < bounds.end:
            return None
        with self._reading:
            self._reader.assign([TopicPartition(self._topic, number, offset)])
            try:
                message = patiently(lambda: self._reader.poll(_ASK_S))
            finally:
                self._reader.unassign()
        if message is None or message.error() is not None:
            raise unavailable(f"the entry at {position} could not be read")
        return entry_of(message, position) if message.offset() == offset else None
