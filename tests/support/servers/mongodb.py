"""MongoDB as a replica set: of one member, or of three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from tests.support.servers import fetch
from tests.support.servers.node import Node, free_ports

_NAME: Final = "penstock"
_ELECTION_MS: Final = 2_000
_ASK_MS: Final = 1_000


class MongoDB:
    """A replica set.

    Attributes:
        nodes: its processes.

    Args:
        arguments: of each process, beside our own.
        options: of our own clients.
    """

    def __init__(
        self,
        folder: Path,
        members: int = 1,
        arguments: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._options = options or {}
        program = fetch.mongod()
        self._ports = free_ports(members)
        self.nodes: list[Node] = []
        for number, port in enumerate(self._ports):
            data = folder / f"mongodb-{number}"
            data.mkdir(parents=True)
            command = [
                *(program, "--replSet", _NAME, "--bind_ip", "127.0.0.1", "--port", str(port)),
                *("--dbpath", str(data), "--wiredTigerCacheSizeGB", "0.5", "--quiet"),
                *("--setParameter", "diagnosticDataCollectionEnabled=false"),
                *("--setParameter", "ttlMonitorSleepSecs=1"),
                *arguments,
            ]
            self.nodes.append(Node(f"mongodb-{number}", command, folder))

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"mongodb://{hosts}/?replicaSet={_NAME}"

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
        members = [
            {"_id": number, "host": f"127.0.0.1:{port}"} for number, port in enumerate(self._ports)
        ]
        settings = {"electionTimeoutMillis": _ELECTION_MS, "heartbeatIntervalMillis": 500}
        with self._client(0) as client:
            client.admin.command(
                "replSetInitiate", {"_id": _NAME, "members": members, "settings": settings}
            )
        self.nodes[0].until(lambda: self.primary() is not None, "a primary")

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()

    def primary(self) -> Node | None:
        """The node that takes writes at the moment; None while there is none."""
        for number, node in enumerate(self.nodes):
            if node.alive and self._hello(number).get("isWritablePrimary"):
                return node
        return None

    def settled(self) -> bool:
        """Whether there is a primary, and all the others follow it."""
        told = [self._hello(number) for number in range(len(self.nodes))]
        primaries = [one for one in told if one.get("isWritablePrimary")]
        followers = [one for one in told if one.get("secondary")]
        return len(primaries) == 1 and len(followers) == len(told) - 1

    def client(self, **options: Any) -> MongoClient[dict[str, Any]]:
        """A plain client of the first member."""
        return self._client(0, **options)

    def _answers(self, number: int) -> bool:
        return bool(self._hello(number))

    def _hello(self, number: int) -> dict[str, Any]:
        try:
            with self._client(number) as client:
                return client.admin.command("hello")
        except (OperationFailure, PyMongoError):
            return {}

    def _client(self, number: int, **options: Any) -> MongoClient[dict[str, Any]]:
        return MongoClient(
            "127.0.0.1",
            self._ports[number],
            directConnection=True,
            serverSelectionTimeoutMS=_ASK_MS,
            connectTimeoutMS=_ASK_MS,
            socketTimeoutMS=30 * _ASK_MS,
            **self._options,
            **options,
        )
