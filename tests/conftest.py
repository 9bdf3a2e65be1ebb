"""Fixtures that several kinds of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.support.server import Server
from tests.support.servers.fixtures import clusters, kafka, mongodb, redis, redis_cluster

__all__ = ["clusters", "kafka", "mongodb", "redis", "redis_cluster", "server"]

settings.register_profile("few", max_examples=5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server with an empty data directory."""
    one = Server(tmp_path / "data")
    one.start()
    try:
        yield one
    finally:
        one.close()
