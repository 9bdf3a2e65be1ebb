"""The cache: speed, never truth."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from penstock.records.position import Position
from penstock.records.record import State, render


class Key(NamedTuple):
    """Of a cached record. Three parts, never joined by a delimiter that an id may contain."""

    tenant: str
    collection_id: str
    record_id: str


class Cached(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What the cache holds for a record, its absence included.

    Attributes:
        tenant, collection_id, record_id: whose it is; the reader checks them.
        fence: of the record when it was read or written; empty for one that never was.
        version: of the record; empty where `body` is None.
        body: the canonical JSON to send; None for a record that is not there.
        expires_at: ms since 1970 when the record ceases to exist; None for never.
        as_of: ms since 1970 when this was the truth for certain.
        ttl_ms: how long it may be served.
        parked: the first of its entries that was put aside, if one was.
    """

    tenant: str
    collection_id: str
    record_id: str
    fence: Position
    version: str
    body: bytes | None
    expires_at: int | None
    as_of: int
    ttl_ms: int
    parked: Position | None = None

    @property
    def key(self) -> Key:
        return Key(self.tenant, self.collection_id, self.record_id)

    @classmethod
    def of(cls, key: Key, state: State | None, as_of: int, ttl_ms: int) -> Cached:
        """What the cache is to hold of a state; of None, that there is no such record."""
        if state is None:
            return cls(*key, Position(""), "", None, None, as_of, ttl_ms)
        body = render(state) if isinstance(state.data, bytes) else None
        version = state.version if body is not None else ""
        return cls(*key, state.fence, version, body, state.expires_at, as_of, ttl_ms, state.parked)


class Cache(Protocol):
    """Keeps `Cached` values, and placeholders of readers that are about to fill one.

    Laws, held by every adapter (`tests/contract/cache_laws.py`):

    - Nothing older ever replaces something newer, by fence.
    - `fill` writes only where the reader's own placeholder, or an older value, still is; so a
      slow reader never hides a newer write.
    - `refresh` touches only keys that are present, as placeholder or value.
    - A value is not served after its `ttl_ms`.
    - No method raises for want of a server and none takes longer than the adapter's timeout, nor
      than its `time_s`, where it is given one: `get` then returns misses, `present` nothing,
      `claim` and `add` None, the others do nothing.
    """

    async def get(self, keys: Sequence[Key], time_s: float | None = None) -> list[Cached | None]:
        """One answer per key; None for a miss or a placeholder."""
        ...

    def at_hand(self, key: Key) -> Cached | None:
        """What `get` would find, where it is in this process's memory; else None."""
        ...

    async def reserve(self, keys: Sequence[Key], token: str, time_s: float | None = None) -> None:
        """Leave a short-lived placeholder with this token where there is neither one nor a value.

        To be called before the store is read.
        """
        ...

    async def fill(self, values: Sequence[Cached], token: str, time_s: float | None = None) -> None:
        """Write what the store was just found to hold."""
        ...

    async def present(
        self, tenant: str, collection_id: str, record_ids: Collection[str]
    ) -> set[str]:
        """The ids of those records that have a value or a placeholder."""
        ...

    async def refresh(self, values: Sequence[Cached]) -> None:
        """Write newer values over what is present."""
        ...

    async def write(self, values: Sequence[Cached]) -> None:
        """Write newer values, present or not: for collections with write-through."""
        ...

    async def claim(self, key: str, value: bytes, ttl_ms: int) -> bytes | None:
        """Set `key` unless it is set; returns what it was set to, None if it now is `value`.

        So a claim may be repeated, by whoever cannot know whether it arrived.
        """
        ...

    async def assign(self, key: str, value: bytes, ttl_ms: int) -> None:
        """Set `key`, whatever it was."""
        ...

    async def release(self, key: str, value: bytes) -> None:
        """Unset `key`, if it is `value`: what another has claimed since stays."""
        ...

    async def add(self, amounts: Mapping[str, int], ttl_ms: int) -> Mapping[str, int] | None:
        """Add to counts, by name; returns what each then comes to. One that is new begins at 0.

        A count ends `ttl_ms` after it began at the latest, however often it is added to, and then
        begins anew: what it comes to may fall. None where nothing is known: it may have been added.
        """
        ...

    async def close(self) -> None: ...
