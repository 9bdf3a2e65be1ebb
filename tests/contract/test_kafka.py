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
from penstock.adapters.kafka.log import KafkaLog
from penstock.ports.log import Log
from penstock.records.position import Position, parse

PARTITIONS = 3


class KafkaLogs:
    """Each log a topic of its own on one cluster."""

    def __init__(self, kafka: Kafka, protocol: str) -> None:
        self._protocol = protocol
        self._settings: dict[str, str | int | float | bool] = {
            "bootstrap.servers": kafka.bootstrap,
            "log_level": 0,
        }
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
        topic = f"{self._open[log]}.g1"
        admin = AdminClient(self._settings)
        deleted = admin.delete_records([TopicPartition(topic, number, offset)])
        await_all(deleted.values())

    async def close(self) -> None:
        for log in self._open:
            await log.close()

    def _opened(self, name: str) -> Log:
        log = KafkaLog(
            self._settings, name, PARTITIONS, 10_000, 86_400_000, self._protocol, SystemClock()
        )
        self._open[log] = name
        return log


def await_all(futures: Iterable[object]) -> None:
    for future in futures:
        future.result(30)  # type: ignore[attr-defined]  # the driver's futures have no type


@pytest.fixture
def protocol() -> str:
    return "classic"


@pytest.fixture
async def logs(kafka: Kafka, protocol: str) -> AsyncIterator[KafkaLogs]:
    opened = KafkaLogs(kafka, protocol)
    yield opened
    await opened.close()


class TestLog(LogLaws):
    pass


class TestConsumer(ConsumerLaws):
    @pytest.fixture(params=["classic", "consumer"])
    def protocol(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)
