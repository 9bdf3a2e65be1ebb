"""Two processes of each role, on real servers, which look like one server from outside."""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path
from typing import Final

from tests.support.platform import await_assigned
from tests.support.server import Server, own_name
from tests.support.servers.node import Node, free_ports

EACH: Final = 2
SECRET: Final = "0123456789abcdef0123456789abcdef"


class Roles(Server):
    """Two API processes, and behind them two ingest services, two query services, two workers.

    The engines are those of the settings, or of the environment. Tests take turns with the two API
    processes: one that changes a collection may rely on the process that it told to know of it.

    Attributes:
        apis, ingests, queries, workers: the processes; this one is the first of `apis`.
    """

    def __init__(self, data: Path, **settings: str) -> None:
        name, ports = own_name(data), [str(port) for port in free_ports(2 * EACH)]
        shared = {"PENSTOCK_LOG_NAME": name, "PENSTOCK_STORE_NAME": name, "PENSTOCK_SECRET": SECRET}
        shared |= settings
        ingest_ports, query_ports = ports[:EACH], ports[EACH:]
        behind = {
            "PENSTOCK_INGEST_URLS": _urls(ingest_ports),
            "PENSTOCK_QUERY_URLS": _urls(query_ports),
        }
        super().__init__(data, "api", "0", **shared, **behind)

        def another(role: str, number: int, port: str = "0", **more: str) -> Server:
            folder = data.with_name(f"{data.name}-{role}-{number}")
            return Server(folder, role, port, **shared, **more)

        self.apis: list[Server] = [self, another("api", 1, "0", **behind)]
        self.ingests = [another("ingest", *one) for one in enumerate(ingest_ports)]
        self.queries = [another("query", *one) for one in enumerate(query_ports)]
        command = [sys.executable, "-m", "penstock.cli", "worker"]
        self.workers = [
            Node(f"{data.name}-worker-{number}", command, data.parent, shared)
            for number in range(EACH)
        ]

    @property
    def url(self) -> str:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        first = zlib.crc32(test.encode()) % EACH
        return self.urls[first]

    @property
    def urls(self) -> list[str]:
        """Of both API processes."""
        return [self._url, self.apis[1].url]

    @property
    def servers(self) -> list[Server]:
        return [*self.ingests, *self.queries, *self.apis]

    def start(self, module: str = "penstock.cli") -> None:
        try:
            for worker in self.workers:
                worker.start()
            for server in self.servers:
                server.launch(module)
            for server in self.servers:
                server.await_ready()
            for worker in self.workers:
                await_assigned(worker)
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """SIGTERM to all, the first that requests come to first; each leaves with exit code 0."""
        for server in reversed(self.servers):
            server.terminate()
        for server in self.servers:
            server.await_end()
        for worker in self.workers:
            worker.stop()
            code = worker.wait(0)
            assert code == 0, f"exit code {code}:\n{worker.log.read_text()[-2000:]}"

    def close(self) -> None:
        for server in self.servers:
            Server.close(server)
        for worker in self.workers:
            worker.kill()


def server_of(data: Path, **settings: str) -> Server:
    """One process, or two of each role where the environment asks for it; not started yet."""
    if "PENSTOCK_TEST_ROLES" in os.environ:
        return Roles(data, **settings)
    return Server(data, **settings)


def _urls(ports: list[str]) -> str:
    return ",".join(f"http://127.0.0.1:{port}" for port in ports)
