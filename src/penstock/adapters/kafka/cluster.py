"""A Kafka cluster, and the topics in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import KafkaError, NewTopic

from penstock.errors import Unavailable

_T = TypeVar("_T")

Settings = Mapping[str, Any]
"""librdkafka's settings: where the cluster is, and how to be let in."""

_ASK_S: Final = 10.0
_LOOK_S: Final = 1.0
_REFUSED: Final = frozenset(
    (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED)
)
_AGAIN_S: Final = 0.05
_PASSING: Final = frozenset(
    (
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._DESTROY_BROKER,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
    )
)
"""What a cluster says while a topic is new, or a leader moves."""


class Topic(NamedTuple):
    """A topic as the cluster describes it.

    Attributes:
        identity: another one, though of the same name, has another.
        settings: in force, by name.
    """

    name: str
    identity: str
    partitions: int
    replicas: int
    settings: Mapping[str, str]


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
    """What is asked of a cluster now and then. Every method blocks, and raises `Unavailable`."""

    def __init__(self, settings: Settings) -> None:
        self._refusal: KafkaError | None = None
        watched: dict[str, Any] = {**settings, "error_cb": self._failed}
        self._admin = AdminClient(watched)

    def names(self) -> Sequence[str]:
        """The names of all topics that we may see."""
        return list(patiently(self._metadata).topics)

    def brokers(self) -> int:
        """How many there are."""
        return len(patiently(self._metadata).brokers)

    def _metadata(self) -> ClusterMetadata:
        try:
            return self._admin.list_topics(timeout=_LOOK_S)
        except KafkaException as error:
            # That brokers refuse us is told beside, else all looks as if they were not there.
            self._admin.poll(0)
            if self._refusal is not None:
                raise unavailable(self._refusal) from error
            raise

    def _failed(self, error: KafkaError) -> None:
        # A client's certificate is refused after the handshake, as if the broker had hung up.
        if error.code() in _REFUSED or "SSL" in error.str():
            self._refusal = error

    def topics(self, names: Sequence[str]) -> list[Topic]:
        """Those of them that there are, in their order."""
        if not names:
            return []
        described = self._admin.describe_topics(
            TopicCollection(list(names)), request_timeout=_ASK_S
        )
        resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in names}
        settings = self._admin.describe_configs(list(resources.values()), request_timeout=_ASK_S)
        found: list[Topic] = []
        for name, resource in resources.items():
            try:
                topic = described[name].result(_ASK_S)
                entries = settings[resource].result(_ASK_S)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue
                raise unavailable(error) from error
            except TimeoutError as error:
                raise unavailable(f"the cluster does not describe the topic {name}") from error
            in_force = {entry: str(value.value) for entry, value in entries.items()}
            replicas = min(len(one.replicas) for one in topic.partitions)
            found.append(
                Topic(name, str(topic.topic_id), len(topic.partitions), replicas, in_force)
            )
        return found

    def create(
        self, topic: str, partitions: int, replicas: int, settings: Mapping[str, str]
    ) -> Topic:
        """Create it, unless another process was faster; return what one broker then says of it.

        Another one may still not know of it.
        """
        new = NewTopic(topic, partitions, replicas, config=dict(settings))
        try:
            self._admin.create_topics([new])[topic].result(_ASK_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise unavailable(error) from error
        until = time.monotonic() + _ASK_S
        while not (found := self.topics([topic])):
            if time.monotonic() > until:
                raise unavailable(f"the topic {topic} was created, and is not there")
            time.sleep(_AGAIN_S)
        return found[0]

    def set(self, topic: str, name: str, value: str) -> None:
        """Change one setting of a topic."""
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        try:
            self._admin.incremental_alter_configs([resource])[resource].result(_ASK_S)
        except KafkaException as error:
            raise unavailable(error) from error
