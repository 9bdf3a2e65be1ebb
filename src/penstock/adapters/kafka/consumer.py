"""Reading as a member of the group of workers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.cimpl import KafkaError

from penstock.adapters.kafka.cluster import Settings, unavailable
from penstock.adapters.kafka.message import entry_of
from penstock.ports.log import Assign, Slice
from penstock.records.operation import Entry
from penstock.records.position import Partition, Position, parse, position

_ASSIGN_S: Final = 30.0
_FETCH_WAIT_MS: Final = 20


class KafkaConsumer:
    """`ports.log.Consumer` on one topic.

    librdkafka blocks, so each poll runs on another thread; partitions come and go within it, and
    the store is asked where to start in the event loop that polls.
    """

    def __init__(
        self, settings: Settings, topic: str, generation: int, group: str, assign: Assign
    ) -> None:
        self._topic = topic
        self._generation = generation
        self._assign = assign
        self._settings = {
            **settings,
            "group.id": group,
            "partition.assignment.strategy": "range",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": _FETCH_WAIT_MS,
            "session.timeout.ms": 6_000,
            "heartbeat.interval.ms": 1_000,
        }
        self._consumer: Consumer | None = None
        self._loop: asyncio.AbstractEventLoop
        self._trouble: BaseException | None = None

    async def poll(self, limit: int, wait_s: float) -> list[Slice]:
        self._loop = asyncio.get_running_loop()
        if self._consumer is None:
            self._consumer = Consumer(self._settings)
            self._consumer.subscribe(
                [self._topic], on_assign=self._assigned, on_revoke=self._revoked
            )
        messages = await asyncio.to_thread(self._consume, self._consumer, limit, wait_s)
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble
        return self._slices(messages)

    async def commit(self, reach: Mapping[Partition, Position]) -> None:
        if self._consumer is None:
            return
        offsets = [
            TopicPartition(self._topic, partition.number, parse(where).offset + 1)
            for partition, where in reach.items()
        ]
        # For the lag that Kafka's own tools show; nothing depends on it.
        self._consumer.commit(offsets=offsets, asynchronous=True)

    async def close(self) -> None:
        if self._consumer is not None:
            await asyncio.to_thread(self._consumer.close)

    # On the thread that polls.

    def _consume(self, consumer: Consumer, limit: int, wait_s: float) -> list[Message]:
        """What is there, without waiting for it to be many."""
        try:
            first = consumer.consume(1, wait_s)
            if not first or limit == 1:
                return first
            return first + consumer.consume(limit - 1, 0)
        except KafkaException as error:
            raise unavailable(error) from error

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            start = self._starts([one.partition for one in partitions])
        except BaseException as error:  # noqa: BLE001  # it comes out of the poll under way
            self._trouble = error
            consumer.assign([])
            return
        for one in partitions:
            known = start[Partition(self._generation, one.partition)]
            one.offset = OFFSET_BEGINNING if known is None else parse(known).offset + 1
        consumer.assign(partitions)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        del partitions  # all go, with the strategy that we use
        consumer.unassign()

    def _starts(self, numbers: Sequence[int]) -> Mapping[Partition, Position | None]:
        asked = [Partition(self._generation, number) for number in numbers]
        if not asked:
            return {}
        asking = asyncio.run_coroutine_threadsafe(self._ask(asked), self._loop)
        return asking.result(_ASSIGN_S)

    async def _ask(self, partitions: Sequence[Partition]) -> Mapping[Partition, Position | None]:
        return await self._assign(partitions)

    # On the event loop.

    def _slices(self, messages: Sequence[Message]) -> list[Slice]:
        by_partition: dict[int, list[Entry]] = {}
        for message in messages:
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    continue
                raise unavailable(error)
            number, offset = message.partition(), message.offset()
            assert number is not None
            assert offset is not None
            entry = entry_of(message, position(self._generation, number, offset))
            by_partition.setdefault(number, []).append(entry)
        return [
            Slice(Partition(self._generation, number), entries)
            for number, entries in by_partition.items()
        ]
