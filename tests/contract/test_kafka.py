"""The Kafka adapter under the laws of the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from tests.contract.consumer_laws import ConsumerLaws
from tests.contract.log_laws import LogLaws
from tests.support.servers.kafka import Kafka

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.kafka.cluster import topic_of
from penstock.adapters.kafka.log import KafkaLog
from penstock.ports.log import Log
from penstock.records.position import Position, parse

PARTITIONS = 3


class KafkaLogs:
    """Each log a topic of its own on one cluster."""

    def __init__(self, kafka: Kafka) -> None:
        self._settings: dict[str, str | int | float | bool] = {"bootstrap.servers": kafka.bootstrap}
        self._open: dict[Log, str] = {}

    async def fresh(self) -> Log:
        return self._opened(f"penstock-{uuid4().hex}")

    async def reopened(self, log: Log) -> Log:
        name = self._open.pop(log)
        await log.close()
        return self._opened(name)

    async def trimmed(self, log: Log, before: Position, older_than: int) -> None:
        """What the brokers do by themselves after a time, done at once."""
        del older_than
        _, number, offset = parse(before)
        topic = topic_of(self._open[log], 1)
        admin = AdminClient(self._settings)
        deleted = admin.delete_records([TopicPartition(topic, number, offset)])
        await_all(deleted.values())

    async def close(self) -> None:
        for log in self._open:
            await log.close()

    def _opened(self, name: str) -> Log:
        log = KafkaLog(self._settings, name, PARTITIONS, 10_000, 86_400_000, SystemClock())
        self._open[log] = name
        return log


def await_all(futures: Iterable[object]) -> None:
    for future in futures:
        future.result(30)  # type: ignore[attr-defined]  # the driver's futures have no type


@pytest.fixture
async def logs(kafka: Kafka) -> AsyncIterator[KafkaLogs]:
    opened = KafkaLogs(kafka)
    yield opened
    await opened.close()


class TestLog(LogLaws):
    pass


class TestConsumer(ConsumerLaws):
    pass
