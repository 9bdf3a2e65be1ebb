"""The check of a Kafka cluster as a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import KafkaError

from penstock.adapters.kafka.cluster import Cluster, Settings
from penstock.adapters.kafka.generations import MOST_REPLICAS, Generation, Generations
from penstock.adapters.kafka.inspection import (
    Placed,
    availability,
    brokers_will_do,
    durability,
    retention,
)
from penstock.adapters.kafka.trial import REFUSED, Replication, Trial, error_of
from penstock.errors import ConfigurationError, PenstockError
from penstock.ports.check import Finding, Level, failure, ok, warning
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy

_ANSWER_S: Final = 5.0
_SUFFIX_BITS: Final = 32
_NEEDED: Final = (
    AclOperation.READ,
    AclOperation.WRITE,
    AclOperation.DESCRIBE,
    AclOperation.DESCRIBE_CONFIGS,
)


class Wanted(NamedTuple):
    """The log as it is configured.

    Attributes:
        name: of the log.
        partitions: of the first topic, where it is created.
        retention_ms: of entries.
        protocol: of the group of workers, `classic` or `consumer`.
        entry_bytes: the largest value of an entry.
    """

    name: str
    partitions: int
    retention_ms: int
    protocol: str
    entry_bytes: int


class KafkaCheck:
    """`ports.check.Check` of a cluster.

    Args:
        settings: of the cluster.
        wanted: the log on it.
        clock: to compare the brokers' with.
        entropy: for the name of what is made for the trial.
    """

    def __init__(self, settings: Settings, wanted: Wanted, clock: Clock, entropy: Entropy) -> None:
        self._settings = settings
        self._wanted = wanted
        self._clock = clock
        self._scratch = f"{wanted.name}.check.{entropy.bits(_SUFFIX_BITS):08x}"
        self._said: list[KafkaError] = []

    async def findings(self) -> AsyncGenerator[Finding, None]:
        try:
            settings: dict[str, Any] = {**self._settings, "error_cb": self._said.append}
            admin = AdminClient(settings)
        except KafkaException as error:
            problem = "PENSTOCK_LOG_URL cannot be used as it is."
            yield failure("address", error_of(error).str(), problem)
            return
        try:
            cluster = await asyncio.to_thread(admin.list_topics, timeout=_ANSWER_S)
        except KafkaException as error:
            yield self._unreachable(admin, error)
            return
        yield ok("brokers", f"{len(cluster.brokers)}, at {self._settings['bootstrap.servers']}")
        for one in await asyncio.to_thread(self._brokers, admin, list(cluster.brokers)):
            yield one
        generations = Generations(Cluster(self._settings), self._wanted.name)
        for one in await asyncio.to_thread(self._topics, admin, generations, len(cluster.brokers)):
            yield one
        # On one thread, which removes what it made also where nobody waits for it any more.
        for one in await asyncio.to_thread(self._try, admin, generations, len(cluster.brokers)):
            yield one

    def _unreachable(self, admin: AdminClient, error: KafkaException) -> Finding:
        admin.poll(0)
        # The first that was said tells more than the last: that no broker was left.
        reason = (self._said or [error_of(error)])[0]
        problem = "See that the brokers run, and that PENSTOCK_LOG_URL names them as they are."
        return failure("brokers", f"none answers: {reason.str()}", problem)

    # On another thread: librdkafka blocks.

    def _brokers(self, admin: AdminClient, numbers: Sequence[int]) -> list[Finding]:
        try:
            settings = [_settings_of_broker(admin, one) for one in numbers]
        except KafkaException as error:
            problem = (
                "They were not checked: allow DESCRIBE_CONFIGS on the cluster."
                if error_of(error).code() in REFUSED
                else "They were not checked: a broker that is down cannot be asked."
            )
            return [warning("settings of the brokers", error_of(error).str(), problem)]
        return list(brokers_will_do(settings, self._wanted.protocol))

    def _topics(
        self, admin: AdminClient, generations: Generations, brokers: int
    ) -> Iterable[Finding]:
        findings = []
        try:
            generations.find()
        except ConfigurationError as error:
            findings.append(failure("topics", str(error), "Penstock does not start with them."))
        except PenstockError as error:
            problem = f"Allow DESCRIBE and DESCRIBE_CONFIGS on topics {self._wanted.name}.*"
            return [failure("topics", error.internal, problem)]
        if not generations.all:
            return [self._to_be_created(brokers)]
        try:
            for one in generations.all:
                findings += self._described(admin, one)
        except KafkaException as error:
            findings.append(failure("topics", error_of(error).str(), "They cannot be described."))
        current = generations.all[-1].topic
        findings += [*durability(current), *retention(current.settings, self._wanted.retention_ms)]
        return findings

    def _to_be_created(self, brokers: int) -> Finding:
        replication = _of_the_first(brokers)
        found = (
            f"none yet; the first start creates {self._wanted.name}.g1 with "
            f"{self._wanted.partitions} partitions, replication factor {replication.replicas} and "
            f"min.insync.replicas {replication.in_sync}"
        )
        if replication.replicas > 1:
            return ok("topics", found)
        problem = "An acknowledged write is on one broker only, and is lost with its disk."
        return warning("topics", found, problem)

    def _described(self, admin: AdminClient, generation: Generation) -> Iterator[Finding]:
        topic = generation.topic
        names = TopicCollection([topic.name])
        asked = admin.describe_topics(
            names, include_authorized_operations=True, request_timeout=_ANSWER_S
        )
        description = asked[topic.name].result()
        yield ok(topic.name, f"{generation.state}, takes messages of {generation.largest} bytes")
        yield availability(
            topic,
            [
                Placed(len(one.replicas), len(one.isr), one.leader is not None)
                for one in description.partitions
            ],
        )
        # Brokers that do not tell, tell of none.
        if description.authorized_operations:
            yield _permissions(topic.name, description.authorized_operations)

    def _try(self, admin: AdminClient, generations: Generations, brokers: int) -> Sequence[Finding]:
        known = generations.all
        replication = _of(known[-1]) if known else _of_the_first(brokers)
        trial = Trial(self._settings, admin, self._scratch, self._wanted.protocol, self._clock)
        findings: list[Finding] = []
        try:
            refused = trial.create(brokers, replication)
            if refused is not None:
                return [self._not_created(refused, log_is_there=bool(known))]
            findings += trial.append(self._wanted.entry_bytes)
            if findings[0].level is Level.OK:
                findings += [trial.read(), trial.join()]
        finally:
            findings += trial.remove()
        return findings

    def _not_created(self, error: KafkaError, *, log_is_there: bool) -> Finding:
        found = f"{self._scratch} was refused: {error.str()}"
        if error.code() not in REFUSED or not log_is_there:
            return failure("creating a topic", found, "Nor could the log's own be created.")
        problem = (
            "Appending and reading were not tried, for want of a topic to try them on: allow "
            f"CREATE, DELETE, READ and WRITE on topics {self._wanted.name}.*"
        )
        return warning("creating a topic", found, problem)


def _settings_of_broker(admin: AdminClient, number: int) -> Mapping[str, str]:
    # librdkafka asks each broker for its own, one in a call.
    resource = ConfigResource(ResourceType.BROKER, str(number))
    asked = admin.describe_configs([resource], request_timeout=_ANSWER_S)
    return {name: str(entry.value) for name, entry in asked[resource].result().items()}


def _permissions(topic: str, given: Iterable[AclOperation]) -> Finding:
    missing = [one.name for one in _NEEDED if one not in set(given)]
    subject = f"permissions on {topic}"
    if missing:
        return failure(subject, f"without {', '.join(missing)}", "Allow them to this user.")
    return ok(subject, ", ".join(one.name for one in _NEEDED))


def _of(generation: Generation) -> Replication:
    topic = generation.topic
    return Replication(topic.replicas, int(topic.settings["min.insync.replicas"]))


def _of_the_first(brokers: int) -> Replication:
    """As `Generations.open` creates the first topic."""
    replicas = min(brokers, MOST_REPLICAS)
    return Replication(replicas, max(replicas - 1, 1))
