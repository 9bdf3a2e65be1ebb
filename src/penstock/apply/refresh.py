"""After the store has confirmed: the cache is told what is newer. Best effort, by design."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.apply.persist import Written
from penstock.apply.rulebook import Rulebook
from penstock.ports.cache import Cache, Cached, Key
from penstock.ports.clock import Clock
from penstock.records.collection import Collection, Rules
from penstock.records.record import State


class Refresh:
    """Updates the keys that are present; in collections with write-through, all."""

    def __init__(self, cache: Cache, rulebook: Rulebook, clock: Clock) -> None:
        self._cache = cache
        self._rulebook = rulebook
        self._clock = clock

    async def tell(self, written: Written) -> None:
        for collection_id, states in written.items():
            current = await self._rulebook.current(collection_id)
            if current is not None:
                await self._collection(*current, states)

    async def _collection(
        self, collection: Collection, rules: Rules, states: Sequence[State]
    ) -> None:
        # A state whose data is UNSET only moved its fence: what is cached stays right.
        changed = {state.record_id: state for state in states if state.data is not msgspec.UNSET}
        tenant, id_ = collection.tenant, collection.id
        wanted = set(changed)
        if not rules.write_through:
            wanted = await self._cache.present(tenant, id_, wanted)
        if not wanted:
            return
        now = self._clock.now()
        values = [
            Cached.of(Key(tenant, id_, one), changed[one], now, rules.cache_ms) for one in wanted
        ]
        if rules.write_through:
            await self._cache.write(values)
        else:
            await self._cache.refresh(values)
