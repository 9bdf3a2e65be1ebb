"""Idempotency-Key: the receipt of a finished request, replayed.

After draft-ietf-httpapi-idempotency-key-header. The memory is the cache's, the same for all
processes: where it is away, or has forgotten, the request is simply made again, and its operation
id, which stems from the same key, keeps the effect to one.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from penstock.errors import Conflict, Invalid
from penstock.ports.cache import Cache
from penstock.ports.clock import Clock
from penstock.records.position import Position

_MARGIN_MS: Final = 1_000
"""How long after its deadline a request counts as in flight, if nothing is heard of it: a process
that dies in the midst blocks its keys so long."""

Finished = tuple[str, str, Position, str]
"""Record id, receipt, position, operation id."""


class _Memory(msgspec.Struct, array_like=True, frozen=True):
    """What is remembered of a request.

    Attributes:
        key: its own; a client library that mixes up replies must not hand out another's receipt.
        request: a print of what was asked for.
        attempt: which it was, so that none takes another's claim back.
        finished: what it came to; None while it is in flight.
    """

    key: str
    request: bytes
    attempt: str
    finished: Finished | None = None


class Once:
    """One request under a key: `finished` is what it came to, now or earlier."""

    def __init__(self, finished: Finished | None) -> None:
        self.finished = finished


class Idempotency:
    """Remembers requests by their key, for `keep_ms`."""

    def __init__(self, cache: Cache, clock: Clock, keep_ms: int) -> None:
        self._cache = cache
        self._clock = clock
        self._keep_ms = keep_ms
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(_Memory).decode

    @asynccontextmanager
    async def once(
        self, key: str, request: bytes, attempt: str, deadline: float
    ) -> AsyncIterator[Once]:
        """The time in which the request is in flight; to be left with `finished` set.

        Args:
            key: its operation id.
            request: what another one with this key must not differ in.
            attempt: the same for whatever is passed on a second time, because nobody knows what
                became of the first: that is no other request in flight. Nobody else's is the same.
            deadline: monotonic seconds by which it is finished.

        Raises `Conflict` (`idempotency_in_flight`) while another one with this key is,
        `Invalid` (`idempotency_mismatch`) where the key was used with another request.
        """
        print_ = hashlib.blake2b(request, digest_size=16).digest()
        claim = _Memory(key, print_, attempt)
        value = self._encode(claim)
        left_ms = max(int((deadline - self._clock.monotonic()) * 1000), 0)
        found = await self._cache.claim(key, value, left_ms + _MARGIN_MS)
        earlier = self._read(key, found)
        if earlier is not None and earlier != claim:
            yield Once(_replay(earlier, print_))
            return
        once = Once(None)
        try:
            yield once
        finally:
            if once.finished is None:
                await self._cache.release(key, value)
            else:
                memory = msgspec.structs.replace(claim, finished=once.finished)
                await self._cache.assign(key, self._encode(memory), self._keep_ms)

    def _read(self, key: str, found: bytes | None) -> _Memory | None:
        """What is remembered; None for nothing, and for what is not ours to understand."""
        if found is None:
            return None
        try:
            memory = self._decode(found)
        except msgspec.DecodeError:
            return None
        return memory if memory.key == key else None


def _replay(memory: _Memory, print_: bytes) -> Finished:
    if memory.request != print_:
        raise Invalid("idempotency_mismatch")
    if memory.finished is None:
        raise Conflict("idempotency_in_flight", retry_after=1)
    return memory.finished
