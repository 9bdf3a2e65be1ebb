"""The servers that all sides share, and the sides themselves, started and filled.

One core has the service that is measured, the other one the load. Kafka, MongoDB and Redis run on
what is left of both, for all sides alike. What writes to the store is paused unless it is what is
measured: it would have a machine of its own.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pymongo import MongoClient
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.node import free_ports
from tests.support.servers.redis import Redis

from bench import installed
from bench.children import Child
from bench.sides import (
    ADMIN_KEY,
    NO_LIMIT,
    READS,
    Eve,
    Express,
    Mongo,
    Penstock,
    Stored,
    physical_of,
)

SERVICE: Final = (0,)
LOAD: Final = (1,)
ALL: Final = (*SERVICE, *LOAD)
"""The cores."""
PARTITIONS: Final = 12
CACHE_S: Final = 600
"""How long both sides keep a record in the cache: longer than a run."""
_BENCH: Final = Path(__file__).parent
_PYTHON: Final = sys.executable
_HOUR_MS: Final = "3600000"
_GUNICORN: Final = ("--workers", "1", "--threads", "32", "--worker-class", "gthread")


class Ground(NamedTuple):
    """Everything that runs.

    Attributes:
        folder: for whatever needs one.
        kafka: one broker.
        mongodb: a replica set of one member.
        redis: one server.
        mongo: a client.
        penstock: `penstock api` on Kafka, MongoDB and Redis.
        worker: `penstock worker` on the same.
        express: its API.
        consumer: its consumer.
        embedded: `penstock serve` on SQLite.
        eve: on the same MongoDB.
        constant: our HTTP server, answering a constant.
        stored: what `penstock` and `express` have in MongoDB.
        topic: of the Express stack.
    """

    folder: Path
    kafka: Kafka
    mongodb: MongoDB
    redis: Redis
    mongo: Mongo
    penstock: Penstock
    worker: Child
    express: Express
    consumer: Child
    embedded: Penstock
    eve: Eve
    constant: Child
    stored: dict[str, Stored]
    topic: str


@contextmanager
def prepared() -> Iterator[Ground]:
    """All of it, ended afterwards. Raises `NotAvailable` where a server cannot be had."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-bench-")))
        kafka, mongodb, redis = Kafka(folder), MongoDB(folder), Redis(folder)
        servers = (kafka, mongodb, redis)
        for server in servers:
            stack.callback(server.stop)
            server.launch()
        for server in servers:
            server.await_ready()
        os.sched_setaffinity(0, LOAD)
        mongo: Mongo = stack.enter_context(MongoClient(mongodb.url))
        yield _sides(stack, folder, kafka, mongodb, redis, mongo)


def _sides(
    stack: ExitStack,
    folder: Path,
    kafka: Kafka,
    mongodb: MongoDB,
    redis: Redis,
    mongo: Mongo,
) -> Ground:
    start = _starter(stack, folder)
    name = f"bench-{uuid4().hex[:8]}"
    common = {
        "PENSTOCK_ADMIN_KEY": ADMIN_KEY,
        "PENSTOCK_LOG_LEVEL": "warning",
        "PENSTOCK_TENANT_REQUESTS_PER_SECOND": str(NO_LIMIT["requests_per_second"]),
        "PENSTOCK_TENANT_BYTES_PER_SECOND": str(NO_LIMIT["bytes_per_second"]),
    }
    ours = {
        "PENSTOCK_LOG_URL": kafka.url,
        "PENSTOCK_STORE_URL": mongodb.url,
        "PENSTOCK_CACHE_URL": redis.url,
        "PENSTOCK_LOG_NAME": name,
        "PENSTOCK_STORE_NAME": name,
        "PENSTOCK_LOG_PARTITIONS": str(PARTITIONS),
        "PENSTOCK_SECRET": "0123456789abcdef0123456789abcdef",
        **common,
        # The worker is paused while bulks are measured: they must not wait for it.
        "PENSTOCK_BULK_LAG_MS": _HOUR_MS,
    }
    topic = f"{name}-express"
    create_topic(kafka, topic)
    create_topic(kafka, f"{topic}-ceiling")
    theirs = {
        "NODE_ENV": "production",
        "KAFKAJS_NO_PARTITIONER_WARNING": "1",
        "KAFKA_BROKERS": kafka.bootstrap,
        "MONGODB_URL": mongodb.url,
        "REDIS_URL": redis.url,
        "TOPIC": topic,
        "DATABASE": topic,
        "CACHE_SECONDS": str(CACHE_S),
    }
    program = (_PYTHON, "-m", "penstock.cli")
    node = ("node", str(installed.express()))
    api = (*program, "api", "--port", "0", "--data", str(folder / "api"))
    serve = (*program, "serve", "--port", "0", "--data", str(folder / "serve"))
    gunicorn = (str(installed.eve()), "-m", "gunicorn", "--keep-alive", "75", *_GUNICORN)
    (port,) = free_ports(1)
    at_eve = ("--chdir", str(_BENCH / "baselines" / "eve"), "-b", f"127.0.0.1:{port}")
    ground = Ground(
        folder,
        kafka,
        mongodb,
        redis,
        mongo,
        Penstock(start("api", api, ours)),
        start("worker", (*program, "worker"), ours | {"PENSTOCK_LOG_LEVEL": "info"}, "assigned"),
        Express(start("express", ("node", f"{node[1]}/server.js"), theirs)),
        start("consumer", ("node", f"{node[1]}/consumer.js"), theirs, "assigned"),
        Penstock(start("serve", serve, common)),
        Eve(
            start("eve", (*gunicorn, *at_eve, "application:app"), {"MONGODB_URL": _of_eve(mongodb)})
        ),
        start("constant", (_PYTHON, "-m", "bench.constant"), {}),
        {
            "Penstock": Stored(mongo, name, physical_of(mongo, name)),
            "Express": Stored(mongo, topic, lambda collection: collection),
        },
        topic,
    )
    cache = {"cache": {"ttl": f"{CACHE_S}s"}}
    indexed = {"indexes": [{"fields": ["data.site", "-data.time"]}], **cache}
    ground.penstock.create(READS, indexed)
    ground.embedded.create(READS, indexed)
    ground.stored["Express"].index(READS)
    return ground


def _starter(stack: ExitStack, folder: Path) -> Callable[..., Child]:
    def start(
        name: str, command: tuple[str, ...], environment: dict[str, str], says: str = "http://"
    ) -> Child:
        cores = SERVICE if says == "http://" else ALL
        child = Child(name, command, folder, cores, environment, says)
        stack.callback(child.stop)
        return child

    return start


def create_topic(kafka: Kafka, name: str) -> None:
    """With as many partitions as all have."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for created in admin.create_topics([NewTopic(name, PARTITIONS, 1)]).values():
        created.result(30)


def _of_eve(mongodb: MongoDB) -> str:
    """The address, with a database."""
    return mongodb.url.replace("/?", "/eve?")
