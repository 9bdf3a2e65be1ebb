"""A worker killed between any two of its steps, under load: nothing lost, doubled or reordered."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.faults.crashing_worker import POINTS
from tests.faults.writers import Load
from tests.support.platform import running
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.redis import Redis

MOST_BATCHES = 5


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kills", [1, pytest.param(50, marks=pytest.mark.long)])
@pytest.mark.timeout(900)
def test_a_worker_killed_at_a_point(
    point: str, kills: int, tmp_path: Path, kafka: Kafka, mongodb: MongoDB, redis: Redis
) -> None:
    chance = random.Random(point)
    # With this protocol the broker notices a dead member after 1.5 s, as the test's is configured.
    protocol = {"PENSTOCK_LOG_GROUP_PROTOCOL": "consumer"}
    with running(tmp_path, kafka, mongodb, redis, **protocol) as platform:
        load = Load([platform.api.url])
        with load:
            for _ in range(kills):
                times = str(chance.randint(1, MOST_BATCHES))
                worker = platform.worker(
                    ("-m", "tests.faults.crashing_worker", point, times), assigned=False
                )
                assert worker.wait(60) == -9, worker.log.read_text()[-2000:]
            platform.worker()
            load.go_on_for(100)
        load.check()
