"""What the log does with a cluster, done on a topic of its own: never on the log's.

An entry that is in the log is applied, so a probe must not be in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import KafkaError, NewTopic

from penstock.adapters.kafka.cluster import Settings
from penstock.adapters.kafka.generations import LARGEST, MESSAGE_BYTES
from penstock.ports.check import Finding, Level, clock_skew, failure, ok, warning
from penstock.ports.clock import Clock

_ANSWER_S: Final = 5.0
_JOIN_S: Final = 10.0
_POLL_S: Final = 0.1
REFUSED: Final = frozenset(
    (
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    )
)
"""Said to a user whom the cluster's access control lists do not allow it."""


def error_of(caught: KafkaException) -> KafkaError:
    """What the exception is about."""
    error: KafkaError = caught.args[0]
    return error


class Replication(NamedTuple):
    """On how many brokers a topic is, and on how many of them a write has to be."""

    replicas: int
    in_sync: int


class Trial:
    """A scratch topic, and a scratch group. Every method blocks, for some seconds at most.

    Args:
        settings: of the cluster.
        admin: of the cluster.
        name: of the topic and of the group; no one else's.
        protocol: of the group, `classic` or `consumer`.
        clock: to compare the brokers' with.
    """

    def __init__(
        self, settings: Settings, admin: AdminClient, name: str, protocol: str, clock: Clock
    ) -> None:
        self._settings = settings
        self._admin = admin
        self._name = name
        self._protocol = protocol
        self._clock = clock
        self._may_be_there = False
        self._partitions: Sequence[int] = ()
        self._delivered: list[Message] = []

    def create(self, partitions: int, replication: Replication) -> KafkaError | None:
        """Create the topic; what was said against it."""
        topic = NewTopic(
            self._name,
            partitions,
            replication.replicas,
            config={
                "message.timestamp.type": "LogAppendTime",
                "min.insync.replicas": str(replication.in_sync),
                LARGEST: str(MESSAGE_BYTES),
            },
        )
        self._may_be_there = True
        try:
            self._admin.create_topics([topic], request_timeout=_ANSWER_S)[self._name].result()
        except KafkaException as error:
            # A negative code is the client's own: it was not answered.
            self._may_be_there = error_of(error).code() < 0
            return error_of(error)
        self._partitions = range(partitions)
        return None

    def append(self, size: int) -> list[Finding]:
        """Append as the log does, to every partition, and so by every broker; and compare clocks.

        Args:
            size: of the value, in bytes.
        """
        subject = f"append of {size} bytes"
        producer = self._producer()
        # The first waits for connections, and would tell little about clocks.
        refused = self._produce(producer, b"")
        before = self._clock.now()
        if refused is None:
            refused = self._produce(producer, bytes(size))
        after = self._clock.now()
        if refused is not None:
            problem = "Writes would be refused: see the brokers' logs, their limits and their ACLs."
            return [failure(subject, refused.str(), problem)]
        count = len(self._partitions)
        done = ok(subject, f"acknowledged by all in-sync replicas, on each of {count} partitions")
        return [done, self._skew(before, after)]

    def read(self) -> Finding:
        """Read back what was appended."""
        consumer = Consumer(self._consumer_settings())
        starts = [TopicPartition(self._name, number, 0) for number in self._partitions]
        consumer.assign(starts)
        try:
            return self._read(consumer)
        finally:
            consumer.close()

    def join(self) -> Finding:
        """Be a member of a group, as workers are, until partitions are assigned; and commit."""
        subject = f"joining a group ({self._protocol} protocol)"
        consumer = Consumer(self._consumer_settings(**{"group.protocol": self._protocol}))
        assigned: list[TopicPartition] = []
        consumer.subscribe([self._name], on_assign=lambda _, given: assigned.extend(given))
        try:
            error = _until(consumer, lambda _: bool(assigned), _JOIN_S)
            if error is None:
                consumer.commit(
                    offsets=[TopicPartition(self._name, one.partition, 1) for one in assigned],
                    asynchronous=False,
                )
        except KafkaException as caught:
            error = error_of(caught)
        finally:
            consumer.close()
        if error is None:
            return ok(subject, f"{len(assigned)} partitions were assigned, and an offset committed")
        if error.code() in REFUSED:
            problem = f"Allow READ on groups that begin with the log's name: {self._name} was used."
            return warning(subject, error.str(), problem)
        return failure(subject, error.str(), "Workers could not share the partitions out.")

    def remove(self) -> list[Finding]:
        """Remove the topic and the group; says what could not be removed."""
        if not self._may_be_there:
            return []
        # A group that nobody could join is not there.
        with suppress(KafkaException):
            groups = self._admin.delete_consumer_groups([self._name], request_timeout=_ANSWER_S)
            groups[self._name].result()
        try:
            self._admin.delete_topics([self._name], request_timeout=_ANSWER_S)[self._name].result()
        except KafkaException as error:
            if error_of(error).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                problem = f"Delete the topic {self._name} by hand."
                return [warning("cleaning up", error_of(error).str(), problem)]
        return []

    def _producer(self) -> Producer:
        return Producer(
            {
                **self._settings,
                "acks": "all",
                "enable.idempotence": True,
                "message.timeout.ms": round(_ANSWER_S * 1000),
                "message.max.bytes": MESSAGE_BYTES,
            }
        )

    def _produce(self, producer: Producer, value: bytes) -> KafkaError | None:
        """Append the value to each partition; the first thing that was said against it."""
        refused: list[KafkaError] = []
        self._delivered.clear()

        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._delivered.append(message)
            else:
                refused.append(error)

        try:
            for number in self._partitions:
                producer.produce(self._name, value, partition=number, on_delivery=report)
            producer.flush(2 * _ANSWER_S)
        except KafkaException as error:
            return error_of(error)
        return refused[0] if refused else None

    def _skew(self, before: int, after: int) -> Finding:
        findings = []
        for message in self._delivered:
            kind, at = message.timestamp()
            assert kind == TIMESTAMP_LOG_APPEND_TIME, "as the topic was made"
            findings.append(clock_skew(before, at, after))
        return max(findings, key=lambda one: one.level is not Level.OK)

    def _read(self, consumer: Consumer) -> Finding:
        missing = set(self._partitions)

        def all_are_there(message: Message | None) -> bool:
            if message is not None:
                missing.discard(message.partition() or 0)
            return not missing

        error = _until(consumer, all_are_there, _JOIN_S)
        if error is not None:
            return failure("reading back", error.str(), "Workers could not read the log.")
        return ok("reading back", "all that was appended")

    def _consumer_settings(self, **more: Any) -> dict[str, Any]:
        return {
            **self._settings,
            "group.id": self._name,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **more,
        }


def _until(
    consumer: Consumer, done: Callable[[Message | None], bool], seconds: float
) -> KafkaError | None:
    """Poll until it is done; what came in between, if it was not."""
    until = time.monotonic() + seconds
    said = KafkaError(KafkaError._TIMED_OUT)
    while time.monotonic() < until:
        message = consumer.poll(_POLL_S)
        error = None if message is None else message.error()
        if error is None:
            if done(message):
                return None
        elif error.code() in REFUSED:
            return error
        else:
            # While the topic is new, its brokers may not know of it yet.
            said = error
    return said
