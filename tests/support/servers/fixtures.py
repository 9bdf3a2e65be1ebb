"""Fixtures with real servers, started when the first test asks, and shared by a whole run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from tests.support.servers.fetch import NotAvailable
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.redis import Redis


class _Server(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


_S = TypeVar("_S", bound=_Server)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with _running(lambda: Kafka(tmp_path_factory.mktemp("kafka"))) as server:
        yield server


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoDB]:
    with _running(lambda: MongoDB(tmp_path_factory.mktemp("mongodb"))) as server:
        yield server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with _running(lambda: Redis(tmp_path_factory.mktemp("redis"))) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with _running(lambda: Redis(tmp_path_factory.mktemp("redis"), cluster=True)) as server:
        yield server


@pytest.fixture(scope="session")
def clusters(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Kafka, MongoDB, Redis]]:
    """Three brokers, three members of a replica set, a Redis Cluster of six."""
    folder = tmp_path_factory.mktemp("clusters")
    with _running(lambda: _Together(folder)) as together:
        yield together.all


class _Together:
    """Servers that start side by side."""

    def __init__(self, folder: Path) -> None:
        self.all = Kafka(folder, 3), MongoDB(folder, 3), Redis(folder, cluster=True)

    def start(self) -> None:
        for one in self.all:
            one.launch()
        for one in self.all:
            one.await_ready()

    def stop(self) -> None:
        for one in self.all:
            one.stop()


@contextmanager
def _running(make: Callable[[], _S]) -> Iterator[_S]:
    try:
        server = make()
    except NotAvailable as error:
        if os.environ.get("PENSTOCK_REQUIRE_SERVERS"):
            raise
        pytest.skip(f"no server to test against: {error}")
    try:
        server.start()
        yield server
    finally:
        server.stop()
