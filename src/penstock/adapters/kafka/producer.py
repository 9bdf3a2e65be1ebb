"""Appending: messages to librdkafka as they come, and its delivery reports back in bulk.

One thread serves the reports. However many came in one round of it, each event loop is woken once.
"""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from confluent_kafka import KafkaException, Message, Producer
from confluent_kafka.cimpl import KafkaError

from penstock.adapters.kafka.cluster import Settings, unavailable
from penstock.adapters.kafka.generations import MESSAGE_BYTES, Generation
from penstock.adapters.kafka.message import headers_of
from penstock.errors import OutcomeUnknown, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.log import Appended
from penstock.records.operation import Operation
from penstock.records.position import Partition, position
from penstock.telemetry.logs import logger

_LINGER_MS: Final = 5
"""A request has messages of one partition: they wait for each other (docs/decisions/0031)."""
_ROUND_S: Final = 0.1
_PROBE_S: Final = 1.0
_FLUSH_S: Final = 10.0
_PURGES: Final = 10
_KEPT_TIMES: Final = 10
_FOR_EVER: Final = 0
_NOT_WRITTEN: Final = frozenset(
    (
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.INVALID_REQUIRED_ACKS,
        KafkaError.POLICY_VIOLATION,
        KafkaError._QUEUE_FULL,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
    )
)
"""After these a message is not in the log for certain; after any other it may be."""


_log = logger("log")


class Sealed(Unavailable):
    """The generation does not take entries any more: nothing was written."""

    def __init__(self) -> None:
        super().__init__("log_unavailable", retry_after=1, internal="the generation is sealed")


class _Waiting:
    """An append under way: its answers so far, and whom to tell.

    Attributes:
        began: monotonic seconds.
        handed: messages that librdkafka has taken; written by the caller's thread alone.
        reported: of these, by the thread of the reports alone.
    """

    __slots__ = ("answers", "began", "future", "generation", "handed", "loop", "reported")

    def __init__(self, generation: int, count: int, began: float) -> None:
        self.began = began
        self.generation = generation
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()
        self.answers: list[Appended] = [_UNANSWERED] * count
        self.handed = count
        self.reported = 0

    @property
    def is_answered(self) -> bool:
        return self.reported == self.handed

    async def end(self, timeout_s: float) -> list[Appended]:
        """All answers, once they are there; what is not in time has an unknown outcome."""
        if not self.is_answered:
            # As `asyncio.wait` does it, with less ado: the future is nobody else's.
            late = self.loop.call_later(timeout_s, _resolve, (self,))
            try:
                await self.future
            finally:
                late.cancel()
        return self.answers if self.is_answered else list(map(_reported, self.answers))


_UNANSWERED: Final = OutcomeUnknown()
"""Stands where an answer will be, and is never given: an error keeps all that it was raised in."""


def _reported(answer: Appended) -> Appended:
    return OutcomeUnknown("no delivery report came") if answer is _UNANSWERED else answer


class Appender:
    """Appends to any generation.

    Of what it was given for a partition, what gets there has no gap: librdkafka, which would let go
    of each message by itself when its time is over and send the later ones, is told to keep all for
    ever. What is kept for too long is given up here, together with all that came after it.

    Args:
        settings: of the cluster.
        timeout_ms: after which an append is answered, its outcome unknown. Its messages are given
            up after ten times that, longer than it takes a cluster to find a new leader.
        clock: for that.
        appended: see `log.KafkaLog`.
    """

    def __init__(
        self,
        settings: Settings,
        timeout_ms: int,
        clock: Clock,
        appended: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._appended = appended
        self._timeout_s = timeout_ms / 1000
        self._producer = Producer(
            {
                **settings,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": _LINGER_MS,
                "compression.type": "lz4",
                "message.timeout.ms": _FOR_EVER,
                "message.max.bytes": MESSAGE_BYTES,
                "queue.buffering.max.messages": 200_000,
                "error_cb": self._failed,
            }
        )
        self._kept_s = _KEPT_TIMES * self._timeout_s
        self._under_way: deque[_Waiting] = deque()
        self._turn = threading.Lock()
        self._done: list[_Waiting] = []
        self._highest: dict[Partition, int] = {}
        self._down: str | None = None
        self._fallen: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="kafka-reports", daemon=True)
        self._thread.start()

    async def append(
        self, operations: Sequence[Operation], generation: Generation
    ) -> list[Appended]:
        """One answer per operation, in their order; `Sealed` where another generation has begun."""
        reason = self._fallen or self._down
        if reason is not None:
            return [unavailable(reason)] * len(operations)
        waiting = _Waiting(generation.number, len(operations), self._clock.monotonic())
        with self._turn:
            self._produce(operations, generation, waiting)
            self._under_way.append(waiting)
        return await waiting.end(self._timeout_s)

    def _produce(
        self, operations: Sequence[Operation], generation: Generation, waiting: _Waiting
    ) -> None:
        produce, delivered = self._producer.produce, self._delivered
        topic, partitions = generation.topic.name, generation.topic.partitions
        for index, operation in enumerate(operations):
            key = operation.key.encode()
            try:
                produce(
                    topic,
                    operation.data,
                    key,
                    zlib.crc32(key) % partitions,
                    partial(delivered, waiting, index),
                    headers=headers_of(operation),
                )
            except (BufferError, KafkaException) as error:
                waiting.answers[index:] = [unavailable(error)] * (len(operations) - index)
                waiting.handed = index
                return

    def close(self) -> None:
        """Wait for what is under way, and end. Blocks."""
        self._producer.flush(_FLUSH_S)
        self._stop.set()
        self._thread.join()
        self._tell()

    # What follows runs on the thread of the reports.

    def _serve(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(_ROUND_S)
            self._tell()
            self._give_up()
            if self._down is not None:
                self._probe()

    def _delivered(
        self, waiting: _Waiting, index: int, error: KafkaError | None, message: Message
    ) -> None:
        if error is None:
            waiting.answers[index] = self._place(waiting.generation, message)
        elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            waiting.answers[index] = Sealed()
        elif error.code() in _NOT_WRITTEN:
            waiting.answers[index] = unavailable(error)
        else:
            waiting.answers[index] = OutcomeUnknown(str(error))
        waiting.reported += 1
        if waiting.is_answered:
            self._done.append(waiting)

    def _place(self, generation: int, message: Message) -> Appended:
        number, offset = message.partition(), message.offset()
        assert number is not None
        assert offset is not None
        partition = Partition(generation, number)
        highest = self._highest.get(partition, -1)
        if offset <= highest and self._fallen is None:
            self._fallen = (
                f"{message.topic()}, partition {number}: offset {offset} came after {highest};"
                " was the topic deleted and created anew?"
            )
            _log.critical("log_replaced", reason=self._fallen)
        if self._fallen is not None:
            return OutcomeUnknown(self._fallen)
        self._highest[partition] = offset
        return position(generation, number, offset)

    def _give_up(self) -> None:
        """Let go of everything, where the oldest append has been under way for too long."""
        under_way = self._under_way
        while under_way and under_way[0].is_answered:
            under_way.popleft()
        if under_way and self._clock.monotonic() - under_way[0].began > self._kept_s:
            _log.warning("appends_given_up", count=len(under_way))
            with self._turn:
                self._empty()

    def _empty(self) -> None:
        """Have librdkafka drop all that it holds, and wait until it has reported all of it.

        `purge` alone does not wait: the driver (2.16) takes its `blocking` the wrong way round.
        """
        for _ in range(_PURGES):
            self._producer.purge()
            if not self._producer.flush(_ROUND_S):
                return

    def _tell(self) -> None:
        done, self._done = self._done, []
        if done:
            self._appended(sum(len(waiting.answers) for waiting in done))
        by_loop: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        for waiting in done:
            by_loop.setdefault(waiting.loop, []).append(waiting)
        for loop, own in by_loop.items():
            # A loop that has ended has no one left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, own)

    def _failed(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._down is None:
            self._down = str(error)
            _log.warning("log_unreachable", reason=str(error))

    def _probe(self) -> None:
        """While no broker can be reached, appends are refused at once, so ask from here."""
        with suppress(KafkaException):
            self._producer.list_topics(timeout=_PROBE_S)
            self._down = None
            _log.warning("log_reachable_again")


def _resolve(done: Sequence[_Waiting]) -> None:
    for waiting in done:
        if not waiting.future.done():
            waiting.future.set_result(None)
