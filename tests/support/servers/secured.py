"""Servers that ask who comes: TLS by an authority of our own, users, and rights."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

import redis as driver
from tests.support.servers import fetch
from tests.support.servers.certificates import Authority
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.node import Node, free_ports

USER: Final = "penstock"
SECRET: Final = "s%e&c@ret"
QUOTED: Final = "s%25e%26c%40ret"
_LAST_SLOT: Final = 16_383
RIGHTS: Final = (
    "resetchannels ~penstock:* -@all +get +set +del +exists +hincrby +pttl +pexpire +evalsha"
    " +script|load +ping +hello +client|setname +select +cluster|slots +cluster|shards +command"
    " +readonly"
)
"""As docs/engines.md has it."""


class SecuredMongoDB:
    """A replica set of one member that takes TLS only, with a user by password and one by X.509."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / "key"
        key.write_text("cGVuc3RvY2sgdGVzdHM=")
        key.chmod(0o400)
        self._tls = {"tls": True, "tlsCAFile": str(authority.path)}
        server = authority.issue("mongodb", "servers")
        self.mongodb = MongoDB(
            folder,
            arguments=[
                *("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(server)),
                *("--tlsCAFile", str(authority.path), "--auth", "--keyFile", str(key)),
                "--tlsAllowConnectionsWithoutCertificates",
            ],
            options=self._tls,
        )

    def start(self) -> None:
        self.mongodb.start()
        # From here as nobody: as long as there is no user, that is allowed.
        with self.mongodb.client() as client:
            roles = [{"role": "readWrite", "db": USER}, {"role": "clusterMonitor", "db": "admin"}]
            client.admin.command("createUser", "root", pwd="root", roles=["root"])
        with self.mongodb.client(username="root", password="root") as client:
            client.admin.command("createUser", USER, pwd=SECRET, roles=roles)
            subject = f"CN={USER},OU=clients,O=Penstock"
            client["$external"].command("createUser", subject, roles=roles)

    def stop(self) -> None:
        self.mongodb.stop()


class SecuredRedis:
    """A server that takes TLS only, and one user that may do what Penstock needs.

    Attributes:
        port: its TLS port.
    """

    def __init__(self, folder: Path, authority: Authority, *, cluster: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._authority = authority
        (self.port,) = free_ports(1)
        server = authority.issue("redis", "servers")
        rights = folder / "users.acl"
        rights.write_text(
            f"user default off\nuser root on >root ~* &* +@all\nuser {USER} on >{SECRET} {RIGHTS}\n"
        )
        command = [
            *(fetch.redis_server(), "--port", "0", "--tls-port", str(self.port)),
            *("--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--aclfile", str(rights)),
            *("--tls-cert-file", str(server), "--tls-key-file", str(server)),
            *("--tls-ca-cert-file", str(authority.path), "--tls-auth-clients", "no"),
        ]
        if cluster:
            command += ["--cluster-enabled", "yes", "--tls-cluster", "yes"]
            command += ["--cluster-port", str(free_ports(1)[0])]
        self._cluster = cluster
        self.node = Node("redis-secured", command, folder)

    def start(self) -> None:
        self.node.start()
        self.node.until(self._answers, "an answer")
        if self._cluster:
            with self._root() as root:
                root.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, _LAST_SLOT)
                self.node.until(lambda: _is_ok(root), "a cluster that is ok")

    def stop(self) -> None:
        self.node.kill()

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def _root(self) -> driver.Redis:
        return driver.Redis(
            port=self.port, username="root", password="root", ssl=True,
            ssl_ca_certs=str(self._authority.path), socket_timeout=2,
        )  # fmt: skip


def _is_ok(root: driver.Redis) -> bool:
    told = root.execute_command("CLUSTER", "INFO")  # type: ignore[no-untyped-call]  # the driver leaves it untyped
    return "cluster_state:ok" in str(told)
