"""Idempotency-Key: the receipt of a finished request, replayed.

After draft-ietf-httpapi-idempotency-key-header. The memory is the cache's: where it is away, or has
forgotten, the request is simply made again, and its operation id, which stems from the same key,
keeps the effect to one.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from penstock.errors import Conflict, Invalid
from penstock.ports.cache import Cache
from penstock.records.position import Position

_IN_FLIGHT_MS: Final = 10_000
"""How long a request may be in flight; a process that dies in the midst blocks its keys so long."""

Finished = tuple[str, str, Position, str]
"""Record id, receipt, position, operation id."""


class _Memory(msgspec.Struct, array_like=True):
    request: bytes
    finished: Finished | None = None


class Once:
    """One request under a key: `finished` is what it came to, now or earlier."""

    def __init__(self, finished: Finished | None) -> None:
        self.finished = finished


class Idempotency:
    """Remembers requests by their key, for `keep_ms`."""

    def __init__(self, cache: Cache, keep_ms: int) -> None:
        self._cache = cache
        self._keep_ms = keep_ms
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(_Memory).decode

    @asynccontextmanager
    async def once(self, key: str, request: bytes) -> AsyncIterator[Once]:
        """The time in which the request is in flight; to be left with `finished` set.

        Raises `Conflict` (`idempotency_in_flight`) while another one with this key is,
        `Invalid` (`idempotency_mismatch`) where the key was used with another request.
        """
        print_ = hashlib.blake2b(request, digest_size=16).digest()
        earlier = await self._cache.claim(key, self._encode(_Memory(print_)), _IN_FLIGHT_MS)
        if earlier is not None:
            yield Once(self._replay(earlier, print_))
            return
        once = Once(None)
        try:
            yield once
        finally:
            if once.finished is None:
                await self._cache.release(key)
            else:
                memory = self._encode(_Memory(print_, once.finished))
                await self._cache.assign(key, memory, self._keep_ms)

    def _replay(self, earlier: bytes, print_: bytes) -> Finished:
        memory = self._decode(earlier)
        if memory.request != print_:
            raise Invalid("idempotency_mismatch")
        if memory.finished is None:
            raise Conflict("idempotency_in_flight", retry_after=1)
        return memory.finished
