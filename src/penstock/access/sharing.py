"""What processes tell each other about quotas, through the cache, beside the requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from penstock.access.bucket import Bucket
from penstock.access.limits import ROUND_S, Limits
from penstock.ports.cache import Cache
from penstock.ports.clock import Clock

_AT_ONCE: Final = 200
_COUNTED_MS: Final = 600_000
"""How long a count goes on, at most, before it begins anew. What others told between our last round
and its end is lost then: one round in so long."""
_FORGET_EVERY: Final = 20
"""Rounds."""


class Sharing:
    """Every `ROUND_S`, adds what was used here to counts in the cache, and takes what others did.

    No request waits for it. While the cache does not answer, nothing is told and nothing heard, and
    each process limits by itself; what was used meanwhile is not told later, for it is past.
    """

    def __init__(self, limits: Limits, cache: Cache, clock: Clock) -> None:
        self._limits = limits
        self._cache = cache
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def round(self) -> None:
        """Tell, and hear, once."""
        buckets = self._limits.active(self._clock.monotonic())
        for start in range(0, len(buckets), _AT_ONCE):
            await self._exchange(buckets[start : start + _AT_ONCE])

    async def _exchange(self, buckets: Sequence[Bucket]) -> None:
        told = [one.used for one in buckets]
        names = [one.name for one in buckets]
        for one in buckets:
            one.used = 0
        totals = await self._cache.add(dict(zip(names, told, strict=True)), _COUNTED_MS)
        now = self._clock.monotonic()
        for bucket, amount in zip(buckets, told, strict=True):
            if totals is None:
                bucket.unheard()
            else:
                bucket.learn(totals[bucket.name], amount, now, ROUND_S)

    async def _run(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(ROUND_S)
            await self.round()
            rounds += 1
            if rounds % _FORGET_EVERY == 0:
                self._limits.forget(self._clock.monotonic())
