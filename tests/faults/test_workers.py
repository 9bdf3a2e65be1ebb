"""Workers that come, go, stop and die; an API that sleeps: nothing lost, doubled or reordered."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.writers import Load
from tests.support.platform import Platform, await_assigned, running
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.redis import Redis

SESSION_S = 8
"""Longer than a member of the group may be silent, by either protocol."""


@pytest.fixture(params=["classic", pytest.param("consumer", marks=pytest.mark.long)])
def platform(
    tmp_path: Path, kafka: Kafka, mongodb: MongoDB, redis: Redis, request: pytest.FixtureRequest
) -> Iterator[Platform]:
    protocol = {"PENSTOCK_LOG_GROUP_PROTOCOL": str(request.param)}
    with running(tmp_path, kafka, mongodb, redis, **protocol) as platform:
        yield platform


def test_workers_that_join_and_leave_lose_double_and_reorder_nothing(platform: Platform) -> None:
    platform.worker()
    platform.worker()
    load = Load([platform.api.url])
    with load:
        for _ in range(3):
            third = platform.worker()
            load.go_on_for(100)
            third.stop()
            load.go_on_for(100)
    load.check()
    for worker in platform.workers:
        assert "Traceback" not in worker.log.read_text()


def test_a_worker_that_is_stopped_past_its_session_writes_nothing_stale(
    platform: Platform,
) -> None:
    sleeper = platform.worker()
    load = Load([platform.api.url])
    with load:
        load.go_on_for(100)
        sleeper.pause()
        platform.worker(assigned=False)
        time.sleep(SESSION_S)
        await_assigned(platform.workers[-1])
        load.go_on_for(300)
        sleeper.resume()
        load.go_on_for(300)
    load.check()
    assert sleeper.alive


def test_a_log_grows_while_one_api_sleeps(platform: Platform) -> None:
    """It was put to sleep with writes under way, and comes back long after the switch."""
    platform.worker()
    platform.worker()
    other = platform.another_api()
    other.start()
    load = Load([platform.api.url, other.url])
    with load:
        load.go_on_for(300)
        other.pause()
        time.sleep(0.2)
        grow(platform, 20)
        load.go_on_for(100)
        other.resume()
        load.go_on_for(500)
    load.check()
    assert generations(platform) == [
        f"{platform.name}.g1\t12\tsealed",
        f"{platform.name}.g2\t20\topen",
    ]
    read = {record["version"][:4] for record in load.records()}
    assert "0002" in read


def test_writes_pause_only_for_a_moment_while_a_log_grows(platform: Platform) -> None:
    platform.worker()
    load = Load([platform.api.url])
    with load:
        load.go_on_for(300)
        load.reset()
        grow(platform, 13)
        load.go_on_for(300)
    load.check()
    assert load.longest_wait < 2


def grow(platform: Platform, partitions: int) -> None:
    done = command(platform, "generation", "grow", "--partitions", str(partitions))
    assert done.returncode == 0, done.stderr


def generations(platform: Platform) -> list[str]:
    return command(platform, "generation", "list").stdout.splitlines()


def command(platform: Platform, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli", *words],
        env=platform.settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
