"""Connecting to Redis, alone or as a cluster: commands in pipelines, in time, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, cast
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from penstock.adapters.redis.breaker import Breaker
from penstock.adapters.redis.direct import Direct
from penstock.adapters.redis.script import SHA, SOURCES
from penstock.config.address import taken_apart
from penstock.errors import ConfigurationError
from penstock.ports.clock import Clock
from penstock.telemetry.logs import logger

Command = tuple[Any, ...]

_SCHEMES: Final = {
    "redis": ("redis", False),
    "rediss": ("rediss", False),
    "redis+cluster": ("redis", True),
    "rediss+cluster": ("rediss", True),
}
_PORT: Final = 6379

_log = logger("cache")


class Connection:
    """To one server or cluster. Connections belong to an event loop, so each has its own client.

    Args:
        url: `redis://`, `rediss://`, `redis+cluster://` or `rediss+cluster://`; of a cluster
            with any number of hosts, of which one that answers is enough.
        timeout_s: of all commands of a call, connecting included.
        clock: for the breaker.
        called: see `cache.RedisCache`.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float,
        clock: Clock,
        called: Callable[[str], None] = lambda _: None,
    ) -> None:
        address = taken_apart(url)
        if address.scheme not in _SCHEMES:
            known = ", ".join(f"{one}://" for one in _SCHEMES)
            raise ConfigurationError(f"PENSTOCK_CACHE_URL begins with one of {known}")
        plain, self.is_cluster = _SCHEMES[address.scheme]
        # The client takes one host; a cluster's others are told to it apart.
        self._url = f"{plain}://{address.credentials}{address.hosts[0]}{address.rest}"
        self._nodes = [_node(one) for one in address.hosts]
        if len(self._nodes) > 1 and not self.is_cluster:
            raise ConfigurationError("PENSTOCK_CACHE_URL: only a cluster has several hosts")
        self._timeout_s = timeout_s
        self._called = called
        self._breaker = Breaker(clock.monotonic)
        self._clients: dict[asyncio.AbstractEventLoop, Redis | RedisCluster] = {}
        self._directs: dict[asyncio.AbstractEventLoop, Direct] = {}

    async def run(
        self, commands: Sequence[Command], time_s: float | None = None
    ) -> list[Any] | None:
        """The replies, in order; None where they did not come in time, or Redis is left alone.

        Args:
            commands: what to send.
            time_s: less than our own time. Where it is used up, that says nothing about Redis: the
                breaker is for those who waited their full time.
        """
        is_short = time_s is not None and time_s < self._timeout_s
        if time_s is not None and time_s <= 0:
            return None
        if self._breaker.is_open:
            self._called("left_out")
            return None
        try:
            async with asyncio.timeout(time_s if is_short else self._timeout_s):
                replies = await self._replies_with_scripts(commands)
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            if is_short and isinstance(error, TimeoutError):
                return None
            self._called("failed")
            if isinstance(error, TimeoutError | ResponseError) and not self.is_cluster:
                # It hangs, or is not what it was, such as a primary: another one may be.
                self._direct().drop()
            if self._breaker.failed():
                _log.warning("cache_left_alone", reason=repr(error))
            return None
        self._breaker.succeeded()
        self._called("answered")
        return replies

    async def close(self) -> None:
        """Close this loop's client."""
        loop = asyncio.get_running_loop()
        direct, client = self._directs.pop(loop, None), self._clients.pop(loop, None)
        if direct is not None:
            await direct.close()
        elif client is not None:
            await client.aclose()

    async def _replies_with_scripts(self, commands: Sequence[Command]) -> list[Any]:
        replies = await self._replies(commands)
        missed = [place for place, one in enumerate(replies) if isinstance(one, NoScriptError)]
        if missed:
            await self._load_scripts()
            # Not all of them: a count must not be added to twice.
            again = await self._replies([commands[place] for place in missed])
            for place, reply in zip(missed, again, strict=True):
                replies[place] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _replies(self, commands: Sequence[Command]) -> list[Any]:
        if not self.is_cluster:
            return await self._direct().ask(commands)
        pipeline = self.client().pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(await pipeline.execute(raise_on_error=False))

    async def _load_scripts(self) -> None:
        client = self.client()
        nodes = {"target_nodes": RedisCluster.PRIMARIES} if self.is_cluster else {}
        for source in SOURCES:
            await client.execute_command("SCRIPT LOAD", source, **nodes)

    def _direct(self) -> Direct:
        """This loop's."""
        loop = asyncio.get_running_loop()
        direct = self._directs.get(loop)
        if direct is None:
            direct = self._directs[loop] = Direct(cast("Redis", self.client()))
        return direct

    def client(self) -> Redis | RedisCluster:
        """This loop's."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            options: dict[str, Any] = {
                "socket_timeout": self._timeout_s,
                "socket_connect_timeout": self._timeout_s,
            }
            if self.is_cluster:
                client = RedisCluster.from_url(self._url, startup_nodes=self._nodes, **options)
            else:
                client = Redis.from_url(self._url, **options, protocol=2)
            # Its own idea of SET's reply is "OK or not"; with GET, that is what stood there.
            client.set_response_callback("SET", _as_it_is)
            self._clients[loop] = client
        return client


def _node(host: str) -> ClusterNode:
    """Raises `ConfigurationError`."""
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port
    except ValueError:
        name = port = None
    if not name:
        raise ConfigurationError("PENSTOCK_CACHE_URL: hosts are host:port, with commas between")
    return ClusterNode(name, port or _PORT)


def _as_it_is(response: Any, **options: Any) -> Any:
    del options
    return response


def script_call(key: str, *arguments: bytes | int | str, sha: str = SHA) -> Command:
    """The command that runs a script on a key; unless told otherwise, what writes values."""
    return ("EVALSHA", sha, 1, key, *arguments)
