"""Records by id: from the cache where it is fresh enough, else from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from penstock.errors import NotFound, Unavailable
from penstock.ports.cache import Cache, Cached, Key
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy
from penstock.ports.store import Store
from penstock.query.coalesce import Coalescer
from penstock.query.freshness import (
    Freshness,
    Wanted,
    check_not_parked,
    fence_reaches,
    wanted_by_record,
)
from penstock.records.collection import Target
from penstock.records.receipt import Receipt

_MOST_KEYS = 500
_TOKEN_BITS = 64


class Found(NamedTuple):
    """A record as it is sent.

    Attributes:
        body: its canonical JSON.
        version: its ETag.
        as_of: ms since 1970 when this was the truth for certain.
    """

    body: bytes
    version: str
    as_of: int


class Ask(NamedTuple):
    """A record, and how long the cache may keep it."""

    key: Key
    ttl_ms: int


class Fetch:
    """Reads by id. Those that arrive in one turn of the event loop are one multi-get."""

    def __init__(
        self, store: Store, cache: Cache, freshness: Freshness, clock: Clock, entropy: Entropy
    ) -> None:
        self._store = store
        self._cache = cache
        self._freshness = freshness
        self._clock = clock
        self._entropy = entropy
        self._through_cache = Coalescer(self._load_cached, _MOST_KEYS)
        self._from_store = Coalescer(self._load_stored, _MOST_KEYS)

    async def one(
        self,
        target: Target,
        record_id: str,
        receipts: Sequence[Receipt],
        *,
        fresh: bool,
        deadline: float,
    ) -> Found:
        """The record. Raises NotFound (`record_not_found`), `Unavailable`; see `value`."""
        found = self.found(await self.value(target, record_id, receipts, fresh, deadline))
        if found is None:
            raise NotFound("record_not_found")
        return found

    async def value(
        self,
        target: Target,
        record_id: str,
        receipts: Sequence[Receipt],
        fresh: bool,  # noqa: FBT001  # `one` and `many` name it; this is the inside
        deadline: float,
    ) -> Cached:
        """What is known of a record, as new as the receipts ask.

        Args:
            target: the collection.
            record_id: the record.
            receipts: writes that the answer must reflect.
            fresh: go past the cache.
            deadline: monotonic seconds.

        Raises `Unavailable` (`not_applied_yet`) where a receipt is not reached by the deadline, or
        (`deadline_exceeded`) where the store has not said; `Conflict` (`quarantined`) where what it
        is for was put aside.
        """
        ask = Ask(Key(target.tenant, target.collection.id, record_id), target.rules.cache_ms)
        if not receipts:
            if fresh:
                return await self._from_store.get(ask, deadline)
            return await self._known(ask, deadline)
        wanted = wanted_by_record(receipts, target.collection.id, record_id)
        if not fresh and not self._freshness.is_new(wanted):
            value = await self._known(ask, deadline)
            if fence_reaches(value.fence, wanted):
                return value
        return await self._reached(ask, wanted, deadline)

    def found(self, value: Cached) -> Found | None:
        """What a client sees of it now; None for a record that is not there, or has expired."""
        if value.body is None:
            return None
        if value.expires_at is not None and value.expires_at <= self._clock.now():
            return None
        return Found(value.body, value.version, value.as_of)

    async def _known(self, ask: Ask, deadline: float) -> Cached:
        """From memory, in no time; else through the cache, with those that are asked meanwhile."""
        found = self._cache.at_hand(ask.key)
        return await self._through_cache.get(ask, deadline) if found is None else found

    async def _reached(self, ask: Ask, wanted: Wanted, deadline: float) -> Cached:
        """From the store, once it reflects `wanted`: what was applied before the record is read."""
        if not await self._freshness.reached(wanted, deadline):
            raise Unavailable("not_applied_yet", retry_after=1)
        value = await self._from_store.get(ask, deadline)
        if not fence_reaches(value.fence, wanted):
            check_not_parked(value.parked, wanted)
        return value

    async def _load_cached(self, asks: Sequence[Ask], deadline: float) -> Mapping[Ask, Cached]:
        values: dict[Ask, Cached] = {}
        missing: list[Ask] = []
        left = deadline - self._clock.monotonic()
        found = await self._cache.get([ask.key for ask in asks], left)
        for ask, value in zip(asks, found, strict=True):
            # A client library that mixes up replies must not leak another record.
            if value is not None and value.key == ask.key:
                values[ask] = value
            else:
                missing.append(ask)
        if missing:
            token = f"{self._entropy.bits(_TOKEN_BITS):x}"
            left = deadline - self._clock.monotonic()
            await self._cache.reserve([ask.key for ask in missing], token, left)
            stored = await self._load_stored(missing, deadline)
            left = deadline - self._clock.monotonic()
            await self._cache.fill(list(stored.values()), token, left)
            values.update(stored)
        return values

    async def _load_stored(self, asks: Sequence[Ask], deadline: float) -> dict[Ask, Cached]:
        now = self._clock.now()
        by_collection: dict[str, list[Ask]] = {}
        for ask in asks:
            by_collection.setdefault(ask.key.collection_id, []).append(ask)
        values: dict[Ask, Cached] = {}
        for collection_id, group in by_collection.items():
            ids = [ask.key.record_id for ask in group]
            left = deadline - self._clock.monotonic()
            states = await self._store.get(collection_id, ids, left)
            for ask in group:
                state = states.get(ask.key.record_id)
                values[ask] = Cached.of(ask.key, state, now, ask.ttl_ms)
        return values
