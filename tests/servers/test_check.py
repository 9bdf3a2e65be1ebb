"""`penstock check` against real servers: what will do, what will not, and what does not answer."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pymongo import MongoClient
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.node import free_ports
from tests.support.servers.redis import Redis

from penstock.adapters.kafka.cluster import Cluster
from penstock.adapters.kafka.generations import Generations
from penstock.config import Configuration
from penstock.ports.check import Level
from penstock.wiring.check import check

KEYS = {"secret": "0123456789abcdef", "admin_key": "0123456789abcdef"}
RETENTION_MS = 24 * 3_600_000


class Wrong(NamedTuple):
    """A finding that is not well."""

    engine: str
    subject: str
    level: Level


def named() -> str:
    """A name for a log and a database that no other test has."""
    return f"check-{secrets.token_hex(4)}"


def configuration(folder: Path, **settings: Any) -> Configuration:
    return Configuration.read(data=folder / "data", **{**KEYS, **settings})


def wrong(folder: Path, **settings: Any) -> list[Wrong]:
    checked = asyncio.run(check(configuration(folder, **settings)))
    return [
        Wrong(part.engine, one.subject, one.level)
        for part in checked
        for one in part.findings
        if one.level is not Level.OK
    ]


def found(folder: Path, engine: str, subject: str, **settings: Any) -> str:
    """What was found, and what follows from it."""
    checked = asyncio.run(check(configuration(folder, **settings)))
    findings = next(part.findings for part in checked if part.engine == engine)
    one = next(one for one in findings if one.subject == subject)
    return f"{one.found}: {one.problem}"


def left_behind(kafka: Kafka, mongodb: MongoDB, redis: Redis, name: str) -> list[str]:
    """What a check made, and did not remove."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    left = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(name)]
    groups = admin.list_consumer_groups(request_timeout=10).result().valid
    left += [group.group_id for group in groups or () if group.group_id.startswith(name)]
    with MongoClient[dict[str, Any]](mongodb.url) as client:
        left += client[name].list_collection_names()
    return left + keys_of_checks(redis, 0)


def keys_of_checks(redis: Redis, number: int) -> list[str]:
    with redis.client(number) as client:
        return [key.decode() for key in client.scan_iter("penstock:check:*")]


@pytest.fixture
def admin(kafka: Kafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap})


def test_engines_that_will_do_pass_and_nothing_is_left_behind(
    kafka: Kafka, mongodb: MongoDB, redis: Redis, tmp_path: Path
) -> None:
    name = named()
    urls = {"log_url": kafka.url, "store_url": mongodb.url, "cache_url": redis.url}
    assert wrong(tmp_path, **urls, log_name=name, store_name=name) == [
        # There is one broker, and one member.
        Wrong("kafka", "topics", Level.WARNING),
        Wrong("mongodb", "members", Level.WARNING),
    ]
    assert left_behind(kafka, mongodb, redis, name) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_log_that_is_there_is_looked_at_and_not_written_to(
    kafka: Kafka, protocol: str, tmp_path: Path
) -> None:
    name = named()
    cluster = {"bootstrap.servers": kafka.bootstrap}
    Generations(Cluster(cluster), name).open(2, RETENTION_MS)
    settings = {"log_url": kafka.url, "log_name": name, "log_group_protocol": protocol}
    assert wrong(tmp_path, **settings) == [Wrong("kafka", "replication factor", Level.WARNING)]
    reader = Consumer({**cluster, "group.id": name})
    ends = [reader.get_watermark_offsets(TopicPartition(f"{name}.g1", n), 10) for n in (0, 1)]
    reader.close()
    assert ends == [(0, 0), (0, 0)]


def test_a_topic_with_the_producers_time_is_refused(
    kafka: Kafka, admin: AdminClient, tmp_path: Path
) -> None:
    name = named()
    topic = NewTopic(f"{name}.g1", 1, 1, config={"max.message.bytes": str(2 * 1024 * 1024)})
    admin.create_topics([topic])[f"{name}.g1"].result(30)
    text = found(tmp_path, "kafka", "topics", log_url=kafka.url, log_name=name)
    assert "message.timestamp.type is CreateTime, and must be LogAppendTime" in text


def test_more_in_sync_replicas_than_there_are_is_a_mistake(
    kafka: Kafka, admin: AdminClient, tmp_path: Path
) -> None:
    name = named()
    settings = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(2 * 1024 * 1024),
        "retention.ms": str(RETENTION_MS),
        "min.insync.replicas": "2",
    }
    admin.create_topics([NewTopic(f"{name}.g1", 1, 1, config=settings)])[f"{name}.g1"].result(30)
    assert wrong(tmp_path, log_url=kafka.url, log_name=name) == [
        Wrong("kafka", "replication factor", Level.WARNING),
        Wrong("kafka", "min.insync.replicas", Level.WARNING),
    ]


def test_an_entry_larger_than_the_log_takes_is_found_out(
    kafka: Kafka, admin: AdminClient, tmp_path: Path
) -> None:
    name = named()
    settings = {"log_url": kafka.url, "log_name": name, "max_body_bytes": 2 * 1024 * 1024}
    assert wrong(tmp_path, **settings) == [
        Wrong("kafka", "topics", Level.WARNING),
        Wrong("kafka", "append of 2097152 bytes", Level.FAILURE),
    ]
    left = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(name)]
    assert left == [], "what was made for the trial goes also where it fails"


@pytest.fixture
def brokers(kafka: Kafka, tmp_path: Path) -> Iterator[Kafka]:
    """Three of them. That they can be had says the fixture asked for before."""
    del kafka
    cluster = Kafka(tmp_path / "brokers", 3)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def test_three_brokers_pass_and_one_that_is_down_is_missed(brokers: Kafka, tmp_path: Path) -> None:
    settings = {"log_url": brokers.url, "log_name": "log"}
    assert wrong(tmp_path, **settings) == []
    cluster = Cluster({"bootstrap.servers": brokers.bootstrap})
    Generations(cluster, "log").open(3, RETENTION_MS)
    assert wrong(tmp_path, **settings) == []
    brokers.nodes[2].kill()
    brokers.nodes[0].until(lambda: cluster.brokers() == 2, "a cluster of two")
    assert wrong(tmp_path, **settings) == [
        Wrong("kafka", "partitions of log.g1", Level.WARNING),
    ]


def test_each_primary_of_a_cluster_passes_and_keeps_nothing(
    redis_cluster: Redis, tmp_path: Path
) -> None:
    settings = {"cache_url": redis_cluster.url}
    assert wrong(tmp_path, **settings) == []
    assert found(tmp_path, "redis", "servers", **settings) == "3 that take writes: "
    assert found(tmp_path, "redis", "cluster", **settings) == (
        "ok, 16384 of 16384 slots served, 3 primaries, 3 replicas: "
    )
    assert [keys_of_checks(redis_cluster, number) for number in range(6)] == [[]] * 6


def test_a_node_of_a_cluster_is_not_a_server_by_itself(
    redis_cluster: Redis, tmp_path: Path
) -> None:
    url = f"redis://127.0.0.1:{redis_cluster.ports[0]}"
    assert Wrong("redis", "cluster", Level.FAILURE) in wrong(tmp_path, cache_url=url)


def test_a_server_by_itself_is_not_a_cluster(redis: Redis, tmp_path: Path) -> None:
    url = redis.url.replace("redis", "redis+cluster")
    assert wrong(tmp_path, cache_url=url) == [Wrong("redis", "servers", Level.FAILURE)]


@contextmanager
def with_memory_limit(redis: Redis, policy: str) -> Iterator[None]:
    with redis.client() as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", policy)
        try:
            yield
        finally:
            client.config_set("maxmemory", "0")
            client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("noeviction", [Wrong("redis", "memory", Level.WARNING)]),
        ("allkeys-lru", []),
        ("volatile-ttl", []),
    ],
)
def test_a_limited_memory_has_to_evict(
    redis: Redis, policy: str, expected: list[Wrong], tmp_path: Path
) -> None:
    with with_memory_limit(redis, policy):
        assert wrong(tmp_path, cache_url=redis.url) == expected


@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        (
            ("+@all", "-evalsha"),
            [
                Wrong("redis", "script", Level.FAILURE),
                Wrong("redis", "SET with NX and GET", Level.FAILURE),
                Wrong("redis", "counts", Level.FAILURE),
            ],
        ),
        (("+@all", "-hincrby"), [Wrong("redis", "counts", Level.FAILURE)]),
        (("+@all", "-info"), [Wrong("redis", "settings", Level.WARNING)]),
        (
            ("+@all", "-set"),
            [
                Wrong("redis", "script", Level.FAILURE),
                Wrong("redis", "expiry", Level.FAILURE),
                Wrong("redis", "SET with NX and GET", Level.FAILURE),
            ],
        ),
    ],
)
def test_what_a_user_may_not_do_is_told(
    redis: Redis, rights: tuple[str, ...], expected: list[Wrong], tmp_path: Path
) -> None:
    user = named()
    with redis.client() as client:
        client.execute_command("ACL SETUSER", user, "on", ">pass", "~*", *rights)
        try:
            url = redis.url.replace("://", f"://{user}:pass@")
            assert wrong(tmp_path, cache_url=url) == expected
        finally:
            client.execute_command("ACL DELUSER", user)


HURRIED = """
import asyncio
from penstock.config import Configuration
from penstock.wiring.check import check

for part in asyncio.run(check(Configuration.read(), limit_s=1.0))[1:]:
    print(part.engine, *(one.found for one in part.findings))
"""


def test_servers_that_hang_fail_within_the_limit(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        where = f"127.0.0.1:{deaf.getsockname()[1]}"
        urls = {
            "PENSTOCK_LOG_URL": f"kafka://{where}",
            "PENSTOCK_STORE_URL": f"mongodb://{where}",
            "PENSTOCK_CACHE_URL": f"redis://{where}",
        }
        # In a process of its own: MongoDB's driver may leave a socket to the collector, where it is
        # closed while it connects.
        done = subprocess.run(
            [sys.executable, "-c", HURRIED],
            env=os.environ | urls,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "kafka not done within 1 s",
        "mongodb not done within 1 s",
        "redis not done within 1 s",
    ]


def penstock_check(
    folder: Path, *options: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    environment = {f"PENSTOCK_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli", "check", "--data", str(folder / "data"), *options],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_ends_with_0_where_nothing_fails(redis: Redis, tmp_path: Path) -> None:
    done = penstock_check(tmp_path, "--json", cache_url=redis.url)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert {line["engine"] for line in lines} == {"settings", "embedded", "redis"}
    assert {
        "engine": "redis",
        "subject": "expiry",
        "found": "values go when their time is over",
        "level": "ok",
        "problem": "",
    } in lines


def test_servers_that_are_not_there_fail_in_a_line_each_and_the_command_ends_with_1(
    tmp_path: Path,
) -> None:
    one, two, three = free_ports(3)
    done = penstock_check(
        tmp_path,
        log_url=f"kafka://127.0.0.1:{one}",
        store_url=f"mongodb://127.0.0.1:{two}",
        cache_url=f"redis://127.0.0.1:{three}",
        **KEYS,
    )
    assert (done.returncode, done.stderr) == (1, "")
    lines = [" ".join(line.split()[:5]) for line in done.stdout.splitlines()]
    assert [line for line in lines if line.startswith("failure")] == [
        "failure kafka: brokers: none answers:",
        "failure mongodb: servers: no primary",
        "failure redis: servers: no answer:",
    ]
    assert done.stdout.splitlines()[-1] == "4 ok, 0 to think about, 3 that fail"


def test_the_command_ends_with_2_where_the_configuration_is_wrong(tmp_path: Path) -> None:
    done = penstock_check(tmp_path, log_url="http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("penstock: PENSTOCK_LOG_URL is kafka://")
