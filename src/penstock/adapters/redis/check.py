"""The check of a Redis, alone or as a cluster, as a cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from penstock.adapters.redis.connection import Connection
from penstock.adapters.redis.trial import Primary, claim, counts, expiry, round_trip, script
from penstock.ports.check import Finding, failure, ok, warning
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy

_ANSWER_S: Final = 5.0
_NAME_BITS: Final = 64
_SLOTS: Final = 16_384
_LEAST_VERSION: Final = (7, 0)
_MIB: Final = 1024 * 1024
_TROUBLES: Final = (RedisError, RedisClusterException, OSError, TimeoutError)

_Information = Mapping[str, Any]
"""What `INFO` says."""
_Step = Callable[[Primary], Awaitable[str | None]]


class RedisCheck:
    """`ports.check.Check` of a server or cluster.

    Args:
        url: see `connection.Connection`.
        timeout_s: of each call of the cache, as configured.
        clock: for the time of a round trip.
        entropy: for the name of what is made for the trial.
    """

    def __init__(self, url: str, timeout_s: float, clock: Clock, entropy: Entropy) -> None:
        # With more patience than the cache has: to tell a slow server from none.
        self._connection = Connection(url, _ANSWER_S, clock)
        self._timeout_s = timeout_s
        self._clock = clock
        self._name = f"penstock:check:{entropy.bits(_NAME_BITS):016x}"

    async def findings(self) -> AsyncGenerator[Finding, None]:
        try:
            try:
                primaries = await self._primaries()
            except _TROUBLES as error:
                problem = "See that it runs, and that PENSTOCK_CACHE_URL says how to reach it."
                yield failure("servers", f"no answer: {error}", problem)
                return
            yield ok("servers", f"{len(primaries)} that take writes")
            for one in await self._settings(primaries):
                yield one
            yield await self._speed(primaries)
            yield await _on_each(primaries, "script", script, "nothing older replaces the newer")
            yield await _on_each(primaries, "expiry", expiry, "values go when their time is over")
            yield await _on_each(primaries, "SET with NX and GET", claim, "the first claim stands")
            yield await _on_each(primaries, "counts", counts, "what processes add comes together")
        finally:
            await self._connection.close()

    async def _primaries(self) -> Sequence[Primary]:
        """All that there are, each with a key of its own."""
        client = self._connection.client()
        if not isinstance(client, RedisCluster):
            await client.ping()
            address = client.connection_pool.connection_kwargs
            name = f"{address.get('host', 'localhost')}:{address.get('port', 6379)}"
            return [Primary(name, client.execute_command, self._name)]
        await client.initialize()
        # Primaries without slots take no writes.
        owners = {slot[0].name for slot in client.nodes_manager.slots_cache.values()}
        found: dict[str, Primary] = {}
        for number in count():
            key = f"{self._name}:{number}"
            node = client.get_node_from_key(key)
            assert node is not None, "a client of a cluster knows the owner of every slot"
            found.setdefault(node.name, Primary(node.name, node.execute_command, key))
            if len(found) == len(owners):
                break
        return [found[name] for name in sorted(found)]

    async def _settings(self, primaries: Sequence[Primary]) -> list[Finding]:
        try:
            told = [await one.run("INFO") for one in primaries]
            cluster = await self._cluster(told)
        except _TROUBLES as error:
            problem = "Allow INFO and CLUSTER INFO to this user, to have the settings checked."
            return [warning("settings", str(error), problem)]
        return [_version(told), cluster, _memory(told)]

    async def _cluster(self, told: Sequence[_Information]) -> Finding:
        if not self._connection.is_cluster:
            return _alone(told[0])
        client = self._connection.client()
        state = await client.execute_command("CLUSTER INFO", target_nodes=RedisCluster.RANDOM)
        replicas = sum(int(one["connected_slaves"]) for one in told)
        found = (
            f"{state['cluster_state']}, {state['cluster_slots_ok']} of {_SLOTS} slots served, "
            f"{len(told)} primaries, {replicas} replicas"
        )
        if state["cluster_state"] != "ok" or int(state["cluster_slots_ok"]) != _SLOTS:
            problem = "Records of the other slots are not cached: see `redis-cli --cluster check`."
            return failure("cluster", found, problem)
        return ok("cluster", found)

    async def _speed(self, primaries: Sequence[Primary]) -> Finding:
        try:
            slowest = max([await round_trip(one, self._clock) for one in primaries])
        except _TROUBLES as error:
            return failure("round trip", str(error), "Every read would be a miss.")
        limit_ms = self._timeout_s * 1000
        found = f"{slowest * 1000:.1f} ms, where PENSTOCK_CACHE_TIMEOUT_MS is {limit_ms:.0f}"
        if slowest > self._timeout_s:
            problem = "Every read would be a miss: bring it nearer, or set the limit higher."
            return failure("round trip", found, problem)
        if slowest > self._timeout_s / 2:
            return warning("round trip", found, "Many reads would be misses when it is busy.")
        return ok("round trip", found)


async def _on_each(primaries: Sequence[Primary], subject: str, step: _Step, found: str) -> Finding:
    """What comes of a step on all of them."""
    said = await asyncio.gather(*map(partial(_said, step), primaries))
    wrong = [one for one in said if one is not None]
    if wrong:
        problem = (
            "The cache would stay empty, or behind, or processes would not learn of each other's "
            "requests: see the version, and the user's rights."
        )
        return failure(subject, "; ".join(wrong), problem)
    return ok(subject, found)


async def _said(step: _Step, primary: Primary) -> str | None:
    try:
        wrong = await step(primary)
    except _TROUBLES as error:
        wrong = str(error)
    return None if wrong is None else f"{primary.name}: {wrong}"


def _version(told: Sequence[_Information]) -> Finding:
    versions = sorted({str(one["redis_version"]) for one in told})
    found = " and ".join(versions)
    if any(_parts(one) < _LEAST_VERSION for one in versions):
        return failure("version", found, "It needs Redis 7.0 or later, or Valkey.")
    return ok("version", found)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in version.split(".")[:2])


def _alone(told: _Information) -> Finding:
    if int(told.get("cluster_enabled", 0)):
        problem = "Set PENSTOCK_CACHE_URL to redis+cluster:// or rediss+cluster://."
        return failure("cluster", "the server is one of a cluster", problem)
    if told["role"] != "master":
        problem = "It takes no writes: set PENSTOCK_CACHE_URL to its primary."
        return failure("cluster", "the server is a replica", problem)
    return ok("cluster", f"none: one server with {told['connected_slaves']} replicas")


def _memory(told: Sequence[_Information]) -> Finding:
    limits = sorted({int(one["maxmemory"]) // _MIB for one in told})
    policies = sorted({str(one["maxmemory_policy"]) for one in told})
    found = f"maxmemory {' and '.join(map(str, limits))} MiB, {' and '.join(policies)}"
    if not any(limits):
        return ok("memory", f"no maxmemory, {' and '.join(policies)}")
    if "noeviction" in policies:
        problem = (
            "When it is full, writes are refused: what is cached stays behind until its time is "
            "over. Set maxmemory-policy to allkeys-lru, say."
        )
        return warning("memory", found, problem)
    return ok("memory", found)
