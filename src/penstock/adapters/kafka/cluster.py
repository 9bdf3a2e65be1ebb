"""A Kafka cluster, and the topic of one generation of the log in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import KafkaError, NewTopic

from penstock.errors import ConfigurationError, Unavailable

_T = TypeVar("_T")

Settings = Mapping[str, Any]
"""librdkafka's settings: where the cluster is, and how to be let in."""

_MOST_REPLICAS: Final = 3
_MESSAGE_BYTES: Final = 2 * 1024 * 1024
_ASK_S: Final = 10.0
_AGAIN_S: Final = 0.05
_PASSING: Final = frozenset(
    (
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
    )
)
"""What a cluster says while a topic is new, or a leader moves."""
_REQUIRED: Final = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete"}


def topic_of(name: str, generation: int) -> str:
    return f"{name}.g{generation}"


def unavailable(error: object) -> Unavailable:
    return Unavailable("log_unavailable", retry_after=1, internal=str(error))


def patiently(ask: Callable[[], _T]) -> _T:
    """What is asked for, asked again while the cluster settles. Raises `Unavailable`."""
    until = time.monotonic() + _ASK_S
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() > until:
                raise unavailable(error) from error
        time.sleep(_AGAIN_S)


class Cluster:
    """What is asked of a cluster now and then. Every method blocks; see `_ASK_S`."""

    def __init__(self, settings: Settings) -> None:
        self._admin = AdminClient(dict(settings))

    def open_topic(self, topic: str, partitions: int, retention_ms: int) -> tuple[str, int]:
        """Make sure that there is such a topic, as it has to be; returns its id and partitions.

        Raises `ConfigurationError` for one that would not do, `Unavailable`.
        """
        found = self._described(topic)
        until = time.monotonic() + _ASK_S
        if found is None:
            self._create(topic, partitions, retention_ms)
        while found is None:
            # One broker has created it; the one that is asked may not know of it yet.
            if time.monotonic() > until:
                raise unavailable(f"the topic {topic} was created, and is not there")
            time.sleep(_AGAIN_S)
            found = self._described(topic)
        patiently(lambda: self._check(topic))
        return found

    def topic_id(self, topic: str) -> str | None:
        """The id of the topic; None where there is none. Raises `Unavailable`."""
        found = self._described(topic)
        return None if found is None else found[0]

    def _described(self, topic: str) -> tuple[str, int] | None:
        futures = self._admin.describe_topics(TopicCollection([topic]), request_timeout=_ASK_S)
        try:
            found = futures[topic].result(_ASK_S)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise unavailable(error) from error
        return str(found.topic_id), len(found.partitions)

    def _create(self, topic: str, partitions: int, retention_ms: int) -> None:
        brokers = len(self._admin.list_topics(timeout=_ASK_S).brokers)
        replicas = min(brokers, _MOST_REPLICAS)
        new = NewTopic(
            topic,
            partitions,
            replicas,
            config={
                **_REQUIRED,
                "min.insync.replicas": str(max(replicas - 1, 1)),
                "retention.ms": str(retention_ms),
                "max.message.bytes": str(_MESSAGE_BYTES),
            },
        )
        try:
            self._admin.create_topics([new])[topic].result(_ASK_S)
        except KafkaException as error:
            # Another process may have been faster.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise unavailable(error) from error

    def _check(self, topic: str) -> None:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        found = self._admin.describe_configs([resource])[resource].result(_ASK_S)
        wrong = [
            f"{name} is {found[name].value}, and must be {value}"
            for name, value in _REQUIRED.items()
            if found[name].value != value
        ]
        if int(found["max.message.bytes"].value) < _MESSAGE_BYTES:
            wrong.append(f"max.message.bytes must be at least {_MESSAGE_BYTES}")
        if wrong:
            raise ConfigurationError(f"The topic {topic} will not do: {'; '.join(wrong)}.")
