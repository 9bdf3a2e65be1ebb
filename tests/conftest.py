"""Fixtures that several kinds of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings
from tests.support.roles import server_of
from tests.support.server import Server
from tests.support.servers.fixtures import clusters, kafka, mongodb, redis, redis_cluster

__all__ = ["clusters", "kafka", "mongodb", "redis", "redis_cluster", "server"]

settings.register_profile("few", max_examples=5)

# With all local variables in it, a traceback takes a second to write.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server with an empty data directory."""
    one = server_of(tmp_path / "data")
    one.start()
    try:
        yield one
    finally:
        one.close()
