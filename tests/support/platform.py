"""The API and its workers as processes of their own, on servers that they share."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from tests.support.server import Server
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.node import Node
from tests.support.servers.redis import Redis

_TAIL: Final = 4000
_WORKER: Final = ("-m", "penstock.cli", "worker")


class Platform:
    """A log and a store of its own on the servers, an API, and as many workers as are asked for.

    Attributes:
        settings: of each process.
        api: listens when the platform has been started.
        workers: all that were ever started.
    """

    def __init__(
        self, folder: Path, kafka: Kafka, mongodb: MongoDB, redis: Redis | None, **settings: str
    ) -> None:
        name = f"test-{uuid4().hex[:12]}"
        self._folder = folder
        self.settings = {
            "PENSTOCK_LOG_URL": kafka.url,
            "PENSTOCK_STORE_URL": mongodb.url,
            "PENSTOCK_LOG_NAME": name,
            "PENSTOCK_STORE_NAME": name,
            "PENSTOCK_SECRET": "0123456789abcdef0123456789abcdef",
            "PENSTOCK_ADMIN_KEY": Server.KEY,
            **({} if redis is None else {"PENSTOCK_CACHE_URL": redis.url}),
            **settings,
        }
        self.workers: list[Node] = []
        self.apis: list[Server] = []
        self.api = self.another_api()

    @property
    def name(self) -> str:
        """Of the log, and of the database."""
        return self.settings["PENSTOCK_LOG_NAME"]

    def another_api(self) -> Server:
        """One more, not started."""
        api = Server(self._folder / f"api-{len(self.apis)}", "api", **self.settings)
        self.apis.append(api)
        return api

    def worker(self, command: Sequence[str] = _WORKER, *, assigned: bool = True) -> Node:
        """One more, started, and (unless told otherwise) with partitions to read."""
        node = Node(
            f"worker-{len(self.workers)}",
            [sys.executable, *command],
            self._folder,
            self.settings,
        )
        self.workers.append(node)
        node.start()
        if assigned:
            await_assigned(node)
        return node

    def close(self) -> None:
        """End all; what each said is printed, for a test that failed."""
        for worker in self.workers:
            worker.kill()
        for api in self.apis:
            api.close()
        for log in [*(one.log for one in self.workers), *(one.log for one in self.apis)]:
            if log.exists():
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-_TAIL:]}")


def await_assigned(worker: Node, times: int = 1) -> None:
    """Return when it was given partitions, so many times since it was first started."""
    worker.until(lambda: worker.log.read_text().count("assigned") >= times, "an assignment")


@contextmanager
def running(
    folder: Path, kafka: Kafka, mongodb: MongoDB, redis: Redis | None = None, **settings: str
) -> Iterator[Platform]:
    """A platform with its API started, ended afterwards with all its processes."""
    platform = Platform(folder, kafka, mongodb, redis, **settings)
    try:
        platform.api.start()
        yield platform
    finally:
        platform.close()
