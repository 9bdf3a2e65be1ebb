"""Redis: a single server, or a cluster of three masters with a replica each."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import redis as driver
from tests.support.servers import fetch
from tests.support.servers.node import Node, free_ports

_SLOTS: Final = 16_384
_NODE_TIMEOUT_MS: Final = 2_000
_MASTERS: Final = 3


class Redis:
    """A server by itself, or six as a cluster.

    Attributes:
        nodes: its processes; of a cluster, the first three begin as masters.
        ports: theirs.
    """

    def __init__(self, folder: Path, *, cluster: bool = False) -> None:
        program = fetch.redis_server()
        self._cluster = cluster
        self.ports = free_ports(2 * _MASTERS if cluster else 1)
        self.nodes: list[Node] = []
        for number, port in enumerate(self.ports):
            data = folder / f"redis-{number}"
            data.mkdir(parents=True)
            command = [
                *(program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(data)),
                *("--save", "", "--appendonly", "no", "--protected-mode", "no"),
            ]
            if cluster:
                command += ["--cluster-enabled", "yes"]
                command += ["--cluster-node-timeout", str(_NODE_TIMEOUT_MS)]
            self.nodes.append(Node(f"redis-{number}", command, folder))

    @property
    def url(self) -> str:
        scheme = "redis+cluster" if self._cluster else "redis"
        return f"{scheme}://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def start(self) -> None:
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Start its processes, and do not wait until they answer."""
        for node in self.nodes:
            node.start()

    def await_ready(self) -> None:
        for number, node in enumerate(self.nodes):
            node.until(lambda number=number: self._answers(number), "an answer")  # type: ignore[misc]  # a lambda's default is not inferred
        if self._cluster:
            self._join()

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()

    def client(self, number: int = 0) -> driver.Redis:
        """A plain client of one node."""
        return driver.Redis(port=self.ports[number], socket_timeout=2)

    def masters(self) -> list[Node]:
        """The nodes that take writes at the moment."""
        return [
            node
            for number, node in enumerate(self.nodes)
            if node.alive and self._role(number) == b"master"
        ]

    def is_whole(self) -> bool:
        """Whether all nodes of the cluster answer, and each says that all slots are served."""
        if not all(self._answers(number) for number in range(len(self.nodes))):
            return False
        clients = [self.client(number) for number in range(len(self.nodes))]
        try:
            return len(self.masters()) == _MASTERS and all(_is_whole(one) for one in clients)
        finally:
            for client in clients:
                client.close()

    def flush(self) -> None:
        """Forget everything, on every master."""
        for number in range(len(self.nodes)):
            with self.client(number) as client, suppress(driver.ReadOnlyError):
                client.flushall()

    def _role(self, number: int) -> bytes:
        with self.client(number) as client:
            role: bytes = _ask(client, "ROLE")[0]
        return role

    def _answers(self, number: int) -> bool:
        try:
            with self.client(number) as client:
                return bool(client.ping())
        except driver.RedisError:
            return False

    def _join(self) -> None:
        clients = [self.client(number) for number in range(len(self.nodes))]
        ids = [client.cluster("MYID").decode() for client in clients]
        for number, client in enumerate(clients[:_MASTERS]):
            slots = range(_SLOTS * number // _MASTERS, _SLOTS * (number + 1) // _MASTERS)
            _ask(client, "CLUSTER", "ADDSLOTS", *slots)
        for client in clients:
            for port in self.ports:
                _ask(client, "CLUSTER", "MEET", "127.0.0.1", port)
        first = self.nodes[0]
        for client in clients:
            first.until(lambda client=client: _known(client) == len(clients), "a cluster")  # type: ignore[misc]  # a lambda's default is not inferred
        for number, client in enumerate(clients[_MASTERS:]):
            _ask(client, "CLUSTER", "REPLICATE", ids[number])
        for client in clients:
            first.until(lambda client=client: _is_whole(client), "a cluster that is ok")  # type: ignore[misc]  # a lambda's default is not inferred
            client.close()


def _ask(client: driver.Redis, *words: str | int) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]  # the driver leaves it untyped


def _known(client: driver.Redis) -> int:
    nodes: bytes = _ask(client, "CLUSTER", "NODES")
    return len(nodes.splitlines())


def _is_whole(client: driver.Redis) -> bool:
    info: bytes = _ask(client, "CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_slots_ok:%d\r" % _SLOTS in info
