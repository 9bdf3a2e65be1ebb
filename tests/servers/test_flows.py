"""The tests of the flows, unchanged, on a house that stands on real servers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.redis import Redis

ROOT = Path(__file__).parents[2]


FLOWS = [
    ("test_http_api.py",),
    ("test_bad_input.py",),
    ("test_disconnects.py", "tests/flow/test_attacks_tenants.py", "-k", "not guess"),
    ("test_search.py",),
]
FEW = ("test_state_machine.py", "--hypothesis-profile=few")
LONG = [
    ("test_quarantine.py",),
    ("test_state_machine.py",),
    ("test_command_line.py",),
    ("test_keys.py",),
    ("test_flights.py",),
    ("test_flight_questions.py",),
]
BY_ROLE = [
    ("test_http_api.py",),
    ("test_bad_input.py",),
    ("test_search.py",),
    ("test_flight_questions.py",),
]


@pytest.mark.parametrize(
    "flow", [*FLOWS, *(pytest.param(one, marks=pytest.mark.long) for one in LONG)], ids=" ".join
)
@pytest.mark.timeout(900)
def test_a_flow_is_the_same_on_kafka_mongodb_and_redis(
    flow: tuple[str, ...], kafka: Kafka, mongodb: MongoDB, redis: Redis
) -> None:
    run(flow, kafka, mongodb, redis)


@pytest.mark.parametrize(
    "flow",
    [
        # But for what restarts all eight processes: that has tests of its own.
        ("test_http_api.py", "-k", "not outlives_a_stop"),
        *(pytest.param(one, marks=pytest.mark.long) for one in BY_ROLE),
    ],
    ids=" ".join,
)
@pytest.mark.timeout(900)
def test_a_flow_is_the_same_on_two_processes_of_each_role(
    flow: tuple[str, ...], kafka: Kafka, mongodb: MongoDB, redis: Redis
) -> None:
    run(flow, kafka, mongodb, redis, PENSTOCK_TEST_ROLES="1")


@pytest.mark.long
@pytest.mark.parametrize("flow", [*FLOWS, LONG[0], FEW], ids=" ".join)
@pytest.mark.timeout(900)
def test_a_flow_is_the_same_on_clusters(
    flow: tuple[str, ...], clusters: tuple[Kafka, MongoDB, Redis]
) -> None:
    run(flow, *clusters)


def run(flow: tuple[str, ...], kafka: Kafka, mongodb: MongoDB, redis: Redis, **more: str) -> None:
    engines = {
        **more,
        # Whether it is in time is asked elsewhere, where nothing else runs on the same cores.
        "PENSTOCK_DEADLINE_MS": "5000",
        "PENSTOCK_LOG_URL": kafka.url,
        "PENSTOCK_STORE_URL": mongodb.url,
        "PENSTOCK_CACHE_URL": redis.url,
    }
    name, *options = flow
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *options, f"tests/flow/{name}"],
        cwd=ROOT,
        env=os.environ | engines,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
