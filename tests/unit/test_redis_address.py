"""Redis's address: which hosts are asked, and what is none."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.redis.connection import Connection
from penstock.errors import ConfigurationError


async def test_all_hosts_of_a_cluster_are_known_with_the_credentials() -> None:
    url = "rediss+cluster://me:p%40,ss@a:7000,b,[::1]:7002?ssl_ca_certs=/ca.pem"
    client = Connection(url, 1.0, SystemClock()).client()
    assert isinstance(client, RedisCluster)
    hosts = {(node.host, node.port) for node in client.startup_nodes}
    assert hosts == {("a", 7000), ("b", 6379), ("::1", 7002)}
    for node in client.startup_nodes:
        assert node.connection_kwargs["username"] == "me"
        assert node.connection_kwargs["password"] == "p@,ss"
        assert node.connection_kwargs["ssl_ca_certs"] == "/ca.pem"


async def test_a_server_alone_is_one_host() -> None:
    client = Connection("redis://a:7000/2", 1.0, SystemClock()).client()
    assert isinstance(client, Redis)
    settings = client.connection_pool.connection_kwargs
    assert (settings["host"], settings["port"], settings["db"]) == ("a", 7000, 2)


@pytest.mark.parametrize(
    "url",
    [
        "http://a:1",
        "a:6379",
        "redis://u:secret@",
        "redis://u:secret@a:x",
        "redis://u:secret@a:1,b:2",
        "redis+cluster://u:secret@a:1,b:x",
    ],
)
def test_what_is_no_address_is_refused_without_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Connection(url, 1.0, SystemClock())
    assert "secret" not in str(caught.value)
