"""What processes tell each other about quotas, through the cache, beside the requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.access.bucket import Bucket
from penstock.access.limits import ROUND_S, Limits
from penstock.access.rounds import Rounds
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
        self._told = 0
        rounds = Rounds(self.round, ROUND_S)
        self.start, self.close = rounds.start, rounds.close

    async def round(self) -> None:
        """Tell, and hear, once."""
        self._told += 1
        if self._told % _FORGET_EVERY == 0:
            self._limits.forget(self._clock.monotonic())
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
