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


@pytest.mark.parametrize(
    "flow",
    [
        "test_http_api.py",
        "test_bad_input.py",
        pytest.param("test_command_line.py", marks=pytest.mark.long),
        pytest.param("test_flights.py", marks=pytest.mark.long),
    ],
)
@pytest.mark.timeout(900)
def test_a_flow_is_the_same_on_kafka_mongodb_and_redis(
    flow: str, kafka: Kafka, mongodb: MongoDB, redis: Redis
) -> None:
    engines = {
        "PENSTOCK_LOG_URL": kafka.url,
        "PENSTOCK_STORE_URL": mongodb.url,
        "PENSTOCK_CACHE_URL": redis.url,
    }
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", f"tests/flow/{flow}"],
        cwd=ROOT,
        env=os.environ | engines,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-6000:]
