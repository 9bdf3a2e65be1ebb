"""From the log into MongoDB: our worker, the sink connector, and the Express stack's consumer.

Each finds the same records in a topic of the same number of partitions, written while it was
paused; the time is from when it goes on to when all are in MongoDB. Each has one core, Kafka and
mongod what is left of both.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from confluent_kafka import Producer
from tests.support.servers.node import free_ports

from bench import installed
from bench.children import Child
from bench.ground import ALL, SERVICE, Ground, create_topic
from bench.load import Exchange, run
from bench.records import body, record_id
from bench.sides import LINES, Express, Penstock, Stored

_JAVA: Final = ("java", "-Xms256m", "-Xmx1g", "-Dlog4j2.level=INFO")
_MAIN: Final = "org.apache.kafka.connect.cli.ConnectStandalone"
_STRINGS: Final = "org.apache.kafka.connect.storage.StringConverter"
_STRATEGY: Final = "com.mongodb.kafka.connect.sink.processor.id.strategy.ProvidedInValueStrategy"
_MODEL: Final = "com.mongodb.kafka.connect.sink.writemodel.strategy"
_PAUSED_MS: Final = 1_800_000
"""As long as brokers allow."""
_SETTLE_S: Final = 1.0
_WARM_UP: Final = 2 * LINES


class Rate(NamedTuple):
    """Records applied per second, by the clock and by the CPU time of the process."""

    wall: float
    cpu: float


class Applier:
    """One of them.

    Args:
        child: applies.
        stored: where to.
        collection: nothing else writes to it.
    """

    def __init__(self, child: Child, stored: Stored, collection: str) -> None:
        self._child, self._stored = child, stored
        self.collection = collection
        self._there = 0

    def measure(self, count: int) -> Rate:
        """Of so many records, in whole bulks."""
        # After a long pause it has first to be a member of its group again.
        self._child.resume()
        self._write_more(_WARM_UP)
        self._await()
        self._child.pause()
        self._write_more(count)
        self._child.move(SERVICE)
        wall, cpu = time.monotonic(), self._child.cpu_s
        self._child.resume()
        self._await()
        seconds = time.monotonic() - wall
        rate = Rate(count / seconds, count / max(self._child.cpu_s - cpu, 0.01))
        self._stored.check(self.collection, iter((self._there - count, self._there - 1)))
        # It may still have something to say to Kafka.
        time.sleep(_SETTLE_S)
        self._child.pause()
        self._child.move(ALL)
        return rate

    def rest(self) -> None:
        """Pause until it is measured."""
        self._child.pause()

    def _write_more(self, count: int) -> None:
        self.write(self._there, count)
        self._there += count

    def _await(self) -> None:
        self._stored.await_count(self.collection, self._there)

    @abstractmethod
    def write(self, first: int, count: int) -> None:
        """The records of these numbers, to where the child reads."""


class OfSide(Applier):
    """Our worker, or the Express stack's consumer: what its own API took in bulks."""

    def __init__(self, side: Penstock | Express, child: Child, stored: Stored) -> None:
        super().__init__(child, stored, "applied")
        self._side = side

    def write(self, first: int, count: int) -> None:
        firsts = iter(range(first, first + count, LINES))

        def following() -> Exchange | None:
            one = next(firsts, None)
            return None if one is None else self._side.bulk(self.collection, one)

        at = self._side.child
        uvloop.run(run(at.host, at.port, [following] * 2))


class OfConnector(Applier):
    """Kafka Connect with the sink connector, standalone, on a topic of its own.

    Args:
        stack: ends it.
        ground: where it runs.
        model: how it writes, the name of a strategy. `ReplaceOneDefaultStrategy` is the default,
            and like ours may see an entry twice; `InsertOneDefaultStrategy` may not.
    """

    def __init__(self, stack: ExitStack, ground: Ground, model: str) -> None:
        name = f"connect-{model[:6].lower()}"
        self._bootstrap, self._topic = ground.kafka.bootstrap, f"{ground.topic}-{name}"
        create_topic(ground.kafka, self._topic)
        (port,) = free_ports(1)
        worker = {
            "bootstrap.servers": self._bootstrap,
            "key.converter": _STRINGS,
            "value.converter": _STRINGS,
            "offset.storage.file.filename": ground.folder / f"{name}.offsets",
            "listeners": f"HTTP://127.0.0.1:{port}",
            "consumer.max.poll.records": 4_000,
            # It is paused for many minutes. Out of its group, it would be given entries again.
            "consumer.session.timeout.ms": _PAUSED_MS,
            "consumer.max.poll.interval.ms": 2 * _PAUSED_MS,
        }
        sink = {
            "name": name,
            "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
            "tasks.max": 1,
            "topics": self._topic,
            "connection.uri": f"{ground.mongodb.url}&w=majority",
            "database": ground.topic,
            "collection": name,
            "document.id.strategy": _STRATEGY,
            "writemodel.strategy": f"{_MODEL}.{model}",
            "bulk.write.ordered": "false",
        }
        files = [
            _properties(ground.folder / f"{name}-worker.properties", worker),
            _properties(ground.folder / f"{name}-sink.properties", sink),
        ]
        command = (*_JAVA, "-cp", installed.connect_classpath(), _MAIN, *files)
        child = Child(name, command, ground.folder, SERVICE, {}, "Sink task finished init")
        stack.callback(child.stop)
        super().__init__(child, Stored(ground.mongo, ground.topic, lambda same: same), name)

    def write(self, first: int, count: int) -> None:
        producer = Producer({"bootstrap.servers": self._bootstrap, "acks": "all", "linger.ms": 5})
        for number in range(first, first + count):
            sent = b'{"_id":"%b","data":%b}' % (record_id(number).encode(), body(number))
            producer.produce(self._topic, sent, record_id(number))
            if number % 1_000 == 0:
                producer.poll(0)
        assert producer.flush(60) == 0


def _properties(path: Path, settings: Mapping[str, object]) -> str:
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    return str(path)
