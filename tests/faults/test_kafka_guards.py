"""A log that is not what it was: the worker stops, says why and writes nothing; writes are refused.

And what does not matter: the offsets that Kafka keeps for the group.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pymongo import MongoClient
from tests.faults.writers import Load
from tests.support.platform import Platform, running
from tests.support.server import Server
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.node import Node
from tests.support.terminal import Terminal

from penstock.records.position import parse

SOON_S = 30
PARTITIONS = 2


@pytest.fixture
def platform(tmp_path: Path, kafka: Kafka, mongodb: MongoDB) -> Iterator[Platform]:
    with running(tmp_path, kafka, mongodb, PENSTOCK_LOG_PARTITIONS=str(PARTITIONS)) as platform:
        yield platform


@pytest.fixture
def admin(kafka: Kafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})


def test_deleted_offsets_of_the_group_do_no_harm(platform: Platform, admin: AdminClient) -> None:
    worker = platform.worker()
    load = Load([platform.api.url])
    with load:
        load.go_on_for(200)
    load.check()
    worker.stop()
    group = f"{platform.name}.workers"
    admin.delete_consumer_groups([group])[group].result(SOON_S)
    platform.worker()
    with load:
        load.go_on_for(200)
    load.check()


def test_what_another_program_wrote_into_the_log_is_put_aside(
    platform: Platform, kafka: Kafka
) -> None:
    platform.worker()
    load = loaded(platform)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    odd: list[dict[str, Any]] = [
        {"key": b"k", "value": b"not ours", "headers": [("a", b"b")]},
        {"key": b"\xff", "value": None, "headers": [("ce_type", b"penstock.put")]},
        {"value": b"{}"},
    ]
    for number, message in enumerate(odd):
        producer.produce(f"{platform.name}.g1", partition=number % PARTITIONS, **message)
    assert producer.flush(SOON_S) == 0
    with load:
        load.go_on_for(100)
    load.check()
    type_ = Terminal(platform.api.data.parent, platform.api.url)
    letters = type_("dead-letters", "list").lines
    assert len(letters) == len(odd)
    assert all("no entry of Penstock's" in one["reason"] for one in letters)
    shown = [type_("dead-letters", "show", one["position"]).json for one in letters]
    stood = [msgspec.msgpack.decode(b64decode(one["message"])) for one in shown]
    assert sorted(map(repr, stood)) == sorted(
        repr([one.get("key"), one["value"], _listed(one.get("headers"))]) for one in odd
    )
    assert type_("dead-letters", "drop", letters[0]["position"], "--yes").code == 0
    assert len(type_("dead-letters", "list").lines) == len(odd) - 1


def _listed(headers: list[tuple[str, bytes]] | None) -> list[list[Any]] | None:
    return None if headers is None else [list(one) for one in headers]


@pytest.mark.parametrize("sleeping", [False, True], ids=["running", "asleep"])
def test_a_topic_that_was_deleted_created_anew_and_filled_past_the_old_end(
    platform: Platform, admin: AdminClient, kafka: Kafka, mongodb: MongoDB, *, sleeping: bool
) -> None:
    worker = platform.worker()
    loaded(platform)
    before, ends = stored(platform, mongodb), log_ends(platform, kafka)
    if sleeping:
        worker.pause()
    topic = f"{platform.name}.g1"
    admin.delete_topics([topic])[topic].result(SOON_S)
    settings = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(2 << 20)}
    again = NewTopic(topic, PARTITIONS, 1, config=settings)
    eventually(lambda: created(admin, again))
    fill(kafka, topic, 2 * max(ends))
    if sleeping:
        worker.resume()
    assert "deleted and created anew" in ended(worker)
    writes_are_refused(platform)
    # One that is started now finds out by comparing with what the store was built from.
    assert "the store was built from" in ended(platform.worker(assigned=False))
    assert stored(platform, mongodb) == before


@pytest.mark.parametrize("sleeping", [False, True], ids=["started after it", "asleep"])
def test_a_log_that_begins_after_what_was_applied(
    platform: Platform, admin: AdminClient, kafka: Kafka, mongodb: MongoDB, *, sleeping: bool
) -> None:
    worker = platform.worker()
    load = loaded(platform)
    worker.pause()
    before = stored(platform, mongodb)
    with load:
        load.go_on_for(200)
    if not sleeping:
        worker.kill()
    gone = [
        TopicPartition(f"{platform.name}.g1", number, end)
        for number, end in enumerate(log_ends(platform, kafka))
    ]
    for future in admin.delete_records(gone).values():
        future.result(SOON_S)
    if sleeping:
        worker.resume()
        assert "removed before" in ended(worker)
        # What it had read before it slept it applies; then there is a gap, and it stops.
        before = stored(platform, mongodb)
        reached = [parse(one["position"]).offset for one in before["applied"]]
        assert all(offset + 1 < one.offset for offset, one in zip(reached, gone, strict=True))
    assert "removed before they were applied" in ended(platform.worker(assigned=False))
    writes_are_refused(platform)
    assert stored(platform, mongodb) == before


def test_a_log_that_is_shorter_than_what_was_applied(
    platform: Platform, kafka: Kafka, mongodb: MongoDB
) -> None:
    """A disk that lost what it had to keep: its files are empty when the broker is back."""
    worker = platform.worker()
    loaded(platform)
    before = stored(platform, mongodb)
    worker.stop()
    (broker,) = kafka.nodes
    broker.kill()
    for segment in broker.log.parent.glob(f"kafka-0/{platform.name}.g1-*/*.log"):
        segment.write_bytes(b"")
    broker.start()
    broker.until(lambda: is_empty(platform, kafka), "an empty log")
    assert "the log holds offsets below" in ended(platform.worker(assigned=False))
    writes_are_refused(platform)
    assert stored(platform, mongodb) == before


def loaded(platform: Platform) -> Load:
    """Something is written, and applied."""
    load = Load([platform.api.url])
    with load:
        load.go_on_for(200)
    load.check()
    return load


def fill(kafka: Kafka, topic: str, count: int) -> None:
    """So many messages into each partition, such as another Penstock would write."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_type", b"penstock.put"),
        ("ce_source", b"/tenants/default"),
        ("ce_id", b"p1"),
        ("ce_revision", b"1"),
    ]
    for number in range(PARTITIONS):
        for _ in range(count):
            producer.produce(topic, b"{}", b"c/r", number, headers=headers)
    assert producer.flush(SOON_S) == 0


def created(admin: AdminClient, topic: NewTopic) -> bool:
    """Whether it could be: one that is being deleted is in the way for a moment."""
    return admin.create_topics([topic])[topic.topic].exception(SOON_S) is None


def log_ends(platform: Platform, kafka: Kafka) -> list[int]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "ends", "log_level": 0})
    try:
        return [
            consumer.get_watermark_offsets(
                TopicPartition(f"{platform.name}.g1", number), timeout=SOON_S
            )[1]
            for number in range(PARTITIONS)
        ]
    finally:
        consumer.close()


def is_empty(platform: Platform, kafka: Kafka) -> bool:
    """Whether it can be asked, and says so."""
    with suppress(KafkaException):
        return log_ends(platform, kafka) == [0] * PARTITIONS
    return False


def stored(platform: Platform, mongodb: MongoDB) -> dict[str, list[Any]]:
    """All that the database holds."""
    with MongoClient[dict[str, Any]](mongodb.url) as client:
        database = client[platform.name]
        return {
            name: list(database[name].find().sort("_id"))
            for name in sorted(database.list_collection_names())
        }


def ended(worker: Node) -> str:
    """What a worker said that ended by itself."""
    eventually(lambda: not worker.alive)
    text = worker.log.read_text()
    assert "Traceback" not in text
    return text


def writes_are_refused(platform: Platform) -> None:
    def refused() -> bool:
        request = urllib.request.Request(
            f"{platform.api.url}/v1/collections/crash/records/r",
            method="PUT",
            data=b"{}",
            headers={
                "Authorization": f"Bearer {Server.KEY}",
                "Content-Type": "application/json",
            },
        )
        try:
            urllib.request.urlopen(request, timeout=SOON_S).close()
        except urllib.error.HTTPError as error:
            problem = json.loads(error.read())
            return bool(problem["status"] == 503)
        return False

    eventually(refused)
    for _ in range(10):
        assert refused()


def eventually(reached: Any) -> None:
    until = time.monotonic() + SOON_S
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.05)
