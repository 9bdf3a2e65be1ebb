"""Reading as a member of the group of workers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.cimpl import KafkaError

from penstock.adapters.kafka.cluster import Settings, unavailable
from penstock.adapters.kafka.end import end_entry, is_end
from penstock.adapters.kafka.generations import Generations
from penstock.adapters.kafka.message import entry_of
from penstock.errors import LogDiverged, PenstockError
from penstock.ports.clock import Clock
from penstock.ports.log import Assign, Slice
from penstock.records.operation import Entry
from penstock.records.position import Partition, Position, parse, position

_ASSIGN_S: Final = 30.0
_ASK_AGAIN_S: Final = 0.25
_VERIFIED_S: Final = 0.25
"""For how long it is taken for granted that the topics are what they were: a topic is not deleted,
created anew and filled up to the old offset in that time."""
_FETCH_WAIT_MS: Final = 20
_BY_PROTOCOL: Final[Mapping[str, Mapping[str, Any]]] = {
    "classic": {
        "partition.assignment.strategy": "range",
        "session.timeout.ms": 6_000,
        "heartbeat.interval.ms": 1_000,
    },
    # KIP-848: here the broker decides on all of that.
    "consumer": {"group.protocol": "consumer"},
}


class KafkaConsumer:
    """`ports.log.Consumer` on all generations of a log.

    librdkafka blocks, so each poll runs on another thread; partitions come and go within it, and
    the store is asked where to start in the event loop that polls. What was handed over stays in
    hand until a poll returns it, whatever goes wrong in between: librdkafka does not give it again,
    and what follows would leave a gap.

    Args:
        settings: of the cluster.
        generations: of the log.
        group: its name.
        protocol: `classic` or `consumer`.
        assign: see `ports.log.Assign`.
        clock: for pauses.
    """

    def __init__(
        self,
        settings: Settings,
        generations: Generations,
        group: str,
        protocol: str,
        assign: Assign,
        clock: Clock,
    ) -> None:
        self._generations = generations
        self._assign = assign
        self._clock = clock
        self._incremental = protocol == "consumer"
        self._settings = {
            **settings,
            **_BY_PROTOCOL[protocol],
            "group.id": group,
            "enable.auto.commit": False,
            # Where what comes next is gone, going on with what is left would lose writes.
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": _FETCH_WAIT_MS,
        }
        self._consumer: Consumer | None = None
        self._in_hand: list[Message] = []
        self._loop: asyncio.AbstractEventLoop
        self._trouble: BaseException | None = None
        self._held: set[Partition] = set()
        self._ask_again = 0.0
        self._verified = 0.0
        self._next: dict[Partition, int] = {}

    async def poll(self, limit: int, wait_s: float) -> list[Slice]:
        self._loop = asyncio.get_running_loop()
        left = wait_s
        while await self._step(limit, min(left, _ASK_AGAIN_S)) and left > _ASK_AGAIN_S:
            left -= _ASK_AGAIN_S
        if self._in_hand:
            await self._verify()
        taken, self._in_hand = self._in_hand[:limit], self._in_hand[limit:]
        slices = self._slices(taken)
        if not slices:
            self._raise_trouble()
        return slices

    async def commit(self, reach: Mapping[Partition, Position]) -> None:
        if self._consumer is None:
            return
        offsets = [
            self._where(partition, parse(where).offset + 1) for partition, where in reach.items()
        ]
        # For the lag that Kafka's own tools show; nothing depends on it.
        self._consumer.commit(offsets=offsets, asynchronous=True)

    async def close(self) -> None:
        if self._consumer is not None:
            await asyncio.to_thread(self._consumer.close)

    def _joined(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(self._settings)
            self._consumer.subscribe(
                [self._generations.pattern], on_assign=self._assigned, on_revoke=self._revoked
            )
        return self._consumer

    # On the thread that polls.

    def _take_in_hand(self, consumer: Consumer, limit: int, wait_s: float) -> None:
        """Take what is there, without waiting for it to be many."""
        try:
            # Not `+=`: that would take the list as it was before partitions were revoked meanwhile.
            first = consumer.consume(1, 0 if self._in_hand else wait_s)
            self._in_hand = [*self._in_hand, *first]
            if 0 < len(self._in_hand) < limit:
                more = consumer.consume(limit - len(self._in_hand), 0)
                self._in_hand = [*self._in_hand, *more]
        except KafkaException as error:
            raise unavailable(error) from error

    def _assigned(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        partitions = {self._partition_of(one.topic, one.partition): one for one in assigned}
        start = self._starts(list(partitions))
        for partition, one in partitions.items():
            one.offset = self._begin(partition, start.get(partition))
        if self._incremental:
            consumer.incremental_assign(assigned)
        else:
            consumer.assign(assigned)
        held = partitions.keys() - start.keys()
        self._held |= held
        consumer.pause([partitions[one] for one in held])

    def _starts(self, partitions: Sequence[Partition]) -> Mapping[Partition, Position | None]:
        """Where to start; nowhere yet, where that cannot be told: it is asked again."""
        if not partitions:
            return {}
        asking = asyncio.run_coroutine_threadsafe(self._ask(partitions), self._loop)
        try:
            return asking.result(_ASSIGN_S)
        except BaseException as error:  # noqa: BLE001  # it comes out of the poll under way
            asking.cancel()
            self._trouble = error
            return {}

    async def _ask(self, partitions: Sequence[Partition]) -> Mapping[Partition, Position | None]:
        return await self._assign(partitions)

    def _revoked(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        gone = {self._partition_of(one.topic, one.partition) for one in revoked}
        # It comes again where it is assigned, from where the store says.
        self._in_hand = [one for one in self._in_hand if self._partition(one) not in gone]
        self._held -= gone
        for partition in gone:
            self._next.pop(partition, None)
        if self._incremental:
            consumer.incremental_unassign(revoked)
        else:
            consumer.unassign()

    def _begin(self, partition: Partition, known: Position | None) -> int:
        """The offset to read from, after a position; it is noted as the one that has to come."""
        if known is None:
            self._next.pop(partition, None)
            return OFFSET_BEGINNING
        self._next[partition] = parse(known).offset + 1
        return self._next[partition]

    # On the event loop.

    async def _step(self, limit: int, wait_s: float) -> bool:
        """Wait so long; True where there still is nothing."""
        consumer = self._joined()
        if self._held and self._clock.monotonic() >= self._ask_again:
            await self._release(consumer)
        await asyncio.to_thread(self._take_in_hand, consumer, limit, wait_s)
        self._raise_trouble()
        return not self._in_hand

    async def _release(self, consumer: Consumer) -> None:
        """Ask about what is held back; read what may be read by now."""
        self._ask_again = self._clock.monotonic() + _ASK_AGAIN_S
        start = await self._assign(sorted(self._held))
        for partition, known in start.items():
            where = self._where(partition, self._begin(partition, known))
            try:
                await asyncio.to_thread(consumer.seek, where)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE:
                    raise unavailable(error) from error
                continue  # its fetcher has not started yet
            consumer.resume([where])
            self._held.discard(partition)

    async def _verify(self) -> None:
        """Raise where the topics are not what they were, or where that cannot be asked now."""
        if self._clock.monotonic() >= self._verified:
            await asyncio.to_thread(self._generations.refresh)
            self._verified = self._clock.monotonic() + _VERIFIED_S

    def _slices(self, messages: Sequence[Message]) -> list[Slice]:
        """The entries; an error among them is kept until they are done with."""
        by_partition: dict[Partition, list[Entry]] = {}
        for message in messages:
            error = message.error()
            if error is not None:
                self._trouble = _meaning(error, message)
                continue
            partition = self._partition(message)
            offset = message.offset()
            assert partition is not None
            assert offset is not None
            if self._next.get(partition, offset) != offset:
                self._trouble = LogDiverged(
                    f"Partition {partition.number} of generation {partition.generation}: offset "
                    f"{offset} came where {self._next[partition]} has to."
                )
                break
            self._next[partition] = offset + 1
            where = position(*partition, offset)
            entry = end_entry(message, where) if is_end(message) else entry_of(message, where)
            by_partition.setdefault(partition, []).append(entry)
        return [Slice(partition, entries) for partition, entries in by_partition.items()]

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble

    def _partition(self, message: Message) -> Partition | None:
        """None of an error that is about no partition."""
        topic, number = message.topic(), message.partition()
        return None if topic is None or number is None else self._partition_of(topic, number)

    def _partition_of(self, topic: str, number: int) -> Partition:
        return Partition(self._generations.number_of(topic), number)

    def _where(self, partition: Partition, offset: int) -> TopicPartition:
        return TopicPartition(
            self._generations.topic_of(partition.generation), partition.number, offset
        )


def _meaning(error: KafkaError, message: Message) -> PenstockError:
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        return LogDiverged(
            f"Partition {message.partition()} of the topic {message.topic()}: what comes next was "
            f"removed before it was applied, or the log is shorter than it was ({error.str()})."
        )
    return unavailable(error)
