"""The servers that the tests stand on: they answer, keep their ports, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.redis import Redis

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_kafka_keeps_what_it_acknowledged_over_a_kill(kafka: Kafka) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic("kept", 1)])["kept"].result(30)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "acks": "all"})
    producer.produce("kept", b"value", partition=0)
    assert producer.flush(30) == 0
    kafka.nodes[0].kill()
    kafka.nodes[0].start()
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": "g",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(["kept"])
    found = consumer.poll(60)
    consumer.close()
    assert found is not None
    assert (found.value(), found.offset()) == (b"value", 0)


def test_mongodb_keeps_a_majority_write_over_a_kill(mongodb: MongoDB) -> None:
    with MongoClient[dict[str, object]](mongodb.url) as client:
        kept = client["test"].get_collection("kept", write_concern=WriteConcern("majority"))
        kept.insert_one({"_id": 1, "value": "x"})
        mongodb.nodes[0].kill()
        mongodb.nodes[0].start()
        assert kept.find_one({"_id": 1}) == {"_id": 1, "value": "x"}


def test_a_redis_cluster_spreads_keys_over_its_masters(redis_cluster: Redis) -> None:
    from redis.cluster import RedisCluster  # noqa: PLC0415  # the module's name is a fixture's

    client = RedisCluster(host="127.0.0.1", port=redis_cluster.ports[0])
    for number in range(60):
        client.set(f"key-{number}", number)
    assert [client.get(f"key-{number}") for number in (0, 59)] == [b"0", b"59"]
    client.close()
    counts = []
    for number in range(3):
        with redis_cluster.client(number) as node:
            counts.append(node.dbsize())
    assert sum(counts) == 60
    assert all(counts)


@pytest.mark.parametrize(
    "end",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, marks=pytest.mark.long),
    ],
)
def test_a_stack_that_ends_takes_its_servers_with_it(tmp_path: Path, end: signal.Signals) -> None:
    stack = subprocess.Popen(
        [sys.executable, "-m", "tests.support.servers.stack"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stack.stdout is not None
    told = [line.strip() for line in iter(stack.stdout.readline, "ready\n")]
    assert [line.partition("=")[0] for line in told] == [
        "export PENSTOCK_LOG_URL",
        "export PENSTOCK_STORE_URL",
        "export PENSTOCK_CACHE_URL",
    ]
    servers = children(stack.pid)
    time.sleep(0.5)
    assert len(children(stack.pid)) == len(servers) == 3, "they last as long as the stack does"
    stack.send_signal(end)
    stack.wait(30)
    stack.stdout.close()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in servers):
        assert time.monotonic() < until, "a server was left behind"
        time.sleep(0.05)
    if end is not signal.SIGKILL:
        assert stack.returncode == 0
        assert not list(tmp_path.iterdir())


def children(pid: int) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and parent(entry) == pid
    ]


def parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return -1
