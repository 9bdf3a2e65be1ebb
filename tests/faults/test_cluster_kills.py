"""A broker, the primary, a master of the cache killed under load: nothing acknowledged is lost.

Three brokers (two in sync are enough), three members of the replica set, three masters of the
cache with a replica each. What was killed is started again, and has caught up, before the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient
from tests.faults.writers import Load
from tests.support.platform import Platform, running
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.node import Node
from tests.support.servers.redis import Redis

BACK_S: Final = 10
"""By when writes have to be back."""
ROUNDS = [1, pytest.param(3, marks=pytest.mark.long)]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def platform(tmp_path: Path, clusters: tuple[Kafka, MongoDB, Redis]) -> Iterator[Platform]:
    with running(tmp_path, *clusters) as platform:
        platform.worker()
        platform.worker()
        yield platform


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_broker_is_killed(
    platform: Platform, clusters: tuple[Kafka, MongoDB, Redis], rounds: int
) -> None:
    kafka, _, _ = clusters
    load = Load([platform.api.url])
    for number in range(rounds):
        under_load(load, kafka.nodes[number])
        kafka.nodes[number].until(lambda: in_sync(platform, kafka), "all replicas in sync")
    load.check()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_the_primary_is_killed(
    platform: Platform, clusters: tuple[Kafka, MongoDB, Redis], rounds: int
) -> None:
    _, mongodb, _ = clusters
    load = Load([platform.api.url])
    for _ in range(rounds):
        primary = mongodb.primary()
        assert primary is not None
        under_load(load, primary)
        primary.until(mongodb.settled, "a primary and two secondaries")
    load.check()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_master_of_the_cache_is_killed(
    platform: Platform, clusters: tuple[Kafka, MongoDB, Redis], rounds: int
) -> None:
    _, _, redis = clusters
    load = Load([platform.api.url])
    for _ in range(rounds):
        master = redis.masters()[0]
        under_load(load, master)
        master.until(redis.is_whole, "a whole cluster")
    load.check()


def test_all_of_the_cache_is_killed_and_reads_go_on(
    platform: Platform, clusters: tuple[Kafka, MongoDB, Redis]
) -> None:
    _, _, redis = clusters
    load = Load([platform.api.url])
    with load:
        load.go_on_for(200)
        for node in redis.nodes:
            node.kill()
        load.reset()
        load.go_on_for(200)
    load.check()
    assert load.longest_wait < BACK_S


def under_load(load: Load, node: Node) -> None:
    """Kill it in the midst of writes, which have to be back in time, and start it again."""
    with load:
        load.go_on_for(200)
        load.reset()
        node.kill()
        load.go_on_for(400)
        node.start()
        load.go_on_for(200)
    assert load.longest_wait < BACK_S


def in_sync(platform: Platform, kafka: Kafka) -> bool:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    topic = f"{platform.name}.g1"
    described = admin.describe_topics(TopicCollection([topic]))[topic].result(BACK_S)
    return all(len(one.isr) == len(kafka.nodes) for one in described.partitions)
