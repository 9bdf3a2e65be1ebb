"""A cache whose calls are timed, and whose hits are counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from penstock.adapters.observed.timed import Meter, Timed, timed
from penstock.ports.cache import Cache, Cached, Key


class ObservedCache(Timed):
    """`ports.cache.Cache`, handed on."""

    def __init__(self, cache: Cache, meter: Meter) -> None:
        super().__init__(cache, meter)
        metrics = meter.metrics
        self._at_hand = cache.at_hand
        self._get = timed(cache.get, meter.seconds("get"), meter)
        self._records = metrics.read_records.of("cache")
        self._hits = metrics.cache_reads.of("hit")
        self._misses = metrics.cache_reads.of("miss")

    async def get(self, keys: Sequence[Key], time_s: float | None = None) -> list[Cached | None]:
        found: list[Cached | None] = await self._get(keys, time_s)
        count, missing = len(found), found.count(None)
        self._records.note(count)
        self._hits.add(count - missing)
        self._misses.add(missing)
        return found

    def at_hand(self, key: Key) -> Cached | None:
        """Counted, but not timed: that would take longer than the look."""
        found = self._at_hand(key)
        if found is not None:
            self._records.note(1)
            self._hits.value += 1
        return found


def observed(cache: Cache, meter: Meter) -> Cache:
    return cast("Cache", ObservedCache(cache, meter))
