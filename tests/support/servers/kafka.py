"""Apache Kafka in KRaft mode: one broker, or a cluster of three."""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from tests.support.servers import fetch
from tests.support.servers.node import Node, free_ports

_SESSION_MS: Final = 3_000
_JAVA: Final = (
    *("java", "-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    *("-Xshare:auto", "-Dlog4j2.level=WARN"),
)
_MAIN: Final = "kafka.Kafka"
_STORAGE: Final = "kafka.tools.StorageTool"


class Kafka:
    """A cluster whose nodes are broker and controller at once.

    Attributes:
        nodes: its processes.
        bootstrap: `host:port` of each broker, comma-separated.

    Args:
        settings: of each broker, beside our own; `more.<name>` adds to a list.
    """

    def __init__(
        self, folder: Path, brokers: int = 1, settings: Mapping[str, Any] | None = None
    ) -> None:
        self._more = settings or {}
        self._classpath = fetch.kafka_classpath()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        ports = free_ports(2 * brokers)
        self._brokers = ports[:brokers]
        self._controllers = ports[brokers:]
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in self._brokers)
        self.nodes = [self._node(number) for number in range(brokers)]

    @property
    def url(self) -> str:
        return f"kafka://{self.bootstrap}"

    def start(self) -> None:
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Start its processes, and do not wait until they answer."""
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        # One format for all would do but for the node's number; they are formatted side by side.
        formats = [
            subprocess.Popen(
                [
                    *(*_JAVA, "-cp", self._classpath, _STORAGE, "format"),
                    # One word: an id may begin with a dash.
                    f"--cluster-id={cluster}",
                    f"--config={self._configuration(number)}",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for number in range(len(self.nodes))
        ]
        for one in formats:
            assert one.wait(120) == 0, "Kafka's storage was not formatted"
        for node in self.nodes:
            node.start()

    def await_ready(self) -> None:
        self.nodes[0].until(lambda: self._seen() == len(self.nodes), "a cluster")

    def stop(self) -> None:
        # Together: a broker that is alone with its controllers waits for them in vain.
        for node in self.nodes:
            node.kill()

    def _seen(self) -> int:
        """How many brokers the cluster says that it has."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            return len(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return 0

    def _node(self, number: int) -> Node:
        command = [*_JAVA, "-cp", self._classpath, _MAIN, str(self._configuration(number))]
        return Node(f"kafka-{number}", command, self._folder)

    def _configuration(self, number: int) -> Path:
        path = self._folder / f"kafka-{number}.properties"
        size = len(self._brokers)
        in_sync = min(2, size)
        voters = ",".join(
            f"{other}@127.0.0.1:{port}" for other, port in enumerate(self._controllers)
        )
        settings = {
            "process.roles": "broker,controller",
            "node.id": number,
            "controller.quorum.voters": voters,
            "listeners": (
                f"PLAINTEXT://127.0.0.1:{self._brokers[number]},"
                f"CONTROLLER://127.0.0.1:{self._controllers[number]}"
            ),
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self._folder / f"kafka-{number}",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": size,
            "transaction.state.log.replication.factor": size,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": size,
            "share.coordinator.state.topic.min.isr": in_sync,
            "default.replication.factor": size,
            "min.insync.replicas": in_sync,
            "group.initial.rebalance.delay.ms": 0,
            "group.consumer.min.session.timeout.ms": 1_000,
            "group.consumer.session.timeout.ms": 1_500,
            "group.consumer.min.heartbeat.interval.ms": 200,
            "group.consumer.heartbeat.interval.ms": 200,
            "controller.quorum.fetch.timeout.ms": 1_500,
            "controller.quorum.election.timeout.ms": 500,
            "broker.session.timeout.ms": _SESSION_MS,
            "broker.heartbeat.interval.ms": 500,
            "controlled.shutdown.enable": "false",
            "message.max.bytes": 4 * 1024 * 1024,
            "log.retention.check.interval.ms": 1000,
            "log.segment.delete.delay.ms": 1000,
            **self._more,
        }
        for name in ("listeners", "listener.security.protocol.map"):
            more = self._more.get(f"more.{name}")
            settings[name] = f"{settings[name]},{more}" if more else settings[name]
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return path
