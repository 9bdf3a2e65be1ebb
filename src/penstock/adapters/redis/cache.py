"""The cache in Redis, alone or as a cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from penstock.adapters.redis import script
from penstock.adapters.redis.connection import Command, Connection, script_call
from penstock.adapters.redis.values import (
    cached,
    count_key_of,
    fence_of,
    key_of,
    note_key_of,
    placeholder,
    stored,
)
from penstock.ports.cache import Cached, Key
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy

_PLACEHOLDER_MS: Final = 2_000
_JITTER: Final = 0.1
_JITTER_BITS: Final = 10


class RedisCache:
    """`ports.cache.Cache` on a Redis. Without it, every read is a miss, and nothing fails.

    Args:
        url: see `connection.Connection`.
        timeout_s: of each call.
        clock: for the breaker.
        entropy: makes the times to live differ, by a tenth at most.
        called: told after each call whether it was `answered`, `failed` or `left_out`.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float,
        clock: Clock,
        entropy: Entropy,
        called: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._connection = Connection(url, timeout_s, clock, called)
        self._entropy = entropy

    async def get(self, keys: Sequence[Key], time_s: float | None = None) -> list[Cached | None]:
        found = await self._connection.run([("GET", key_of(*key)) for key in keys], time_s)
        if found is None:
            return [None] * len(keys)
        return [cached(one, key) for one, key in zip(found, keys, strict=True)]

    def at_hand(self, key: Key) -> Cached | None:  # noqa: ARG002  # nothing is kept here
        return None

    async def reserve(self, keys: Sequence[Key], token: str, time_s: float | None = None) -> None:
        mark = placeholder(token)
        await self._connection.run(
            [("SET", key_of(*key), mark, "PX", _PLACEHOLDER_MS, "NX") for key in keys], time_s
        )

    async def fill(self, values: Sequence[Cached], token: str, time_s: float | None = None) -> None:
        mark = placeholder(token)
        await self._connection.run([self._put(script.FILL, one, mark) for one in values], time_s)

    async def present(
        self, tenant: str, collection_id: str, record_ids: Collection[str]
    ) -> set[str]:
        ids = list(record_ids)
        commands = [("EXISTS", key_of(tenant, collection_id, one)) for one in ids]
        found = await self._connection.run(commands) if ids else None
        if found is None:
            return set()
        return {one for one, there in zip(ids, found, strict=True) if there}

    async def refresh(self, values: Sequence[Cached]) -> None:
        await self._connection.run([self._put(script.REFRESH, one) for one in values])

    async def write(self, values: Sequence[Cached]) -> None:
        await self._connection.run([self._put(script.WRITE, one) for one in values])

    async def claim(self, key: str, value: bytes, ttl_ms: int) -> bytes | None:
        found = await self._connection.run(
            [("SET", note_key_of(key), value, "PX", ttl_ms, "NX", "GET")]
        )
        # The driver repeats a command whose answer was lost: then our own claim stands there.
        return None if found is None or found[0] == value else found[0]

    async def assign(self, key: str, value: bytes, ttl_ms: int) -> None:
        await self._connection.run([("SET", note_key_of(key), value, "PX", ttl_ms)])

    async def release(self, key: str, value: bytes) -> None:
        call = script_call(note_key_of(key), value, sha=script.RELEASE_SHA)
        await self._connection.run([call])

    async def add(self, amounts: Mapping[str, int], ttl_ms: int) -> Mapping[str, int] | None:
        shares: dict[str, list[str]] = {}
        for name in amounts:
            shares.setdefault(count_key_of(name), []).append(name)
        found = await self._connection.run(
            [_add(key, names, amounts, ttl_ms) for key, names in shares.items()]
        )
        if found is None:
            return None
        totals: dict[str, int] = {}
        for names, counts in zip(shares.values(), found, strict=True):
            totals.update(zip(names, counts, strict=True))
        return totals

    async def close(self) -> None:
        await self._connection.close()

    def _put(self, how: bytes, value: Cached, mark: bytes = b"") -> Command:
        spread = self._entropy.bits(_JITTER_BITS) / (1 << _JITTER_BITS)
        ttl_ms = max(int(value.ttl_ms * (1 - _JITTER * spread)), 1)
        return script_call(key_of(*value.key), how, fence_of(value), stored(value), ttl_ms, mark)


def _add(key: str, names: Sequence[str], amounts: Mapping[str, int], ttl_ms: int) -> Command:
    pairs = [part for name in names for part in (name, amounts[name])]
    return script_call(key, ttl_ms, *pairs, sha=script.ADD_SHA)
