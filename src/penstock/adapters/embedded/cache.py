"""The cache in this process's memory, shared by the API's thread and the worker's."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from itertools import repeat
from typing import Final, NamedTuple

from penstock.ports.cache import Cached, Key
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy

_PLACEHOLDER_MS: Final = 2_000
_OVERHEAD_BYTES: Final = 600
"""What an entry takes beside its body: objects, keys, its place in the dictionary."""
_JITTER: Final = 0.1
_JITTER_BITS: Final = 10
_MOST_NOTE_BYTES: Final = 64 * 1024 * 1024
"""Of claims and what they came to, the oldest going first: some 100,000 receipts."""
_NOTE_OVERHEAD_BYTES: Final = 350
_MOST_COUNTS: Final = 100_000


class _Held(NamedTuple):
    """A value, or the placeholder of a reader (`value` None), and until when."""

    value: Cached | None
    token: str
    until: int


class _Note(NamedTuple):
    value: bytes
    until: int


class _Count(NamedTuple):
    total: int
    until: int


class MemoryCache:
    """`ports.cache.Cache` in a dictionary, the least recently used going first.

    Args:
        most_bytes: by estimate.
        clock: says what has expired.
        entropy: makes the times to live differ, by a tenth at most, so that what was filled
            together does not expire together.
    """

    def __init__(self, most_bytes: int, clock: Clock, entropy: Entropy) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._entropy = entropy
        self._lock = threading.Lock()
        self._held: OrderedDict[Key, _Held] = OrderedDict()
        self._bytes = 0
        self._notes: OrderedDict[str, _Note] = OrderedDict()
        self._note_bytes = 0
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    async def get(
        self,
        keys: Sequence[Key],
        time_s: float | None = None,  # noqa: ARG002  # memory does not keep one waiting
    ) -> list[Cached | None]:
        now = self._clock.now()
        held = self._held
        found: list[Cached | None] = []
        with self._lock:
            for key in keys:
                one = held.get(key)
                if one is None or one.until <= now:
                    found.append(None)
                else:
                    held.move_to_end(key)
                    found.append(one.value)
        return found

    def at_hand(self, key: Key) -> Cached | None:
        now = self._clock.now()
        with self._lock:
            one = self._held.get(key)
            if one is None or one.until <= now:
                return None
            self._held.move_to_end(key)
        return one.value

    async def reserve(
        self,
        keys: Sequence[Key],
        token: str,
        time_s: float | None = None,  # noqa: ARG002  # as above
    ) -> None:
        now = self._clock.now()
        with self._lock:
            for key in keys:
                one = self._held.get(key)
                if one is None or one.until <= now:
                    self._hold(key, _Held(None, token, now + _PLACEHOLDER_MS))

    async def fill(
        self,
        values: Sequence[Cached],
        token: str,
        time_s: float | None = None,  # noqa: ARG002  # as above
    ) -> None:
        now = self._clock.now()
        with self._lock:
            for value in values:
                one = self._present(value.key, now)
                if one is None:
                    continue
                if one.token == token if one.value is None else one.value.fence < value.fence:
                    self._put(value, now)

    async def present(
        self, tenant: str, collection_id: str, record_ids: Collection[str]
    ) -> set[str]:
        now = self._clock.now()
        held = self._held
        # The worker asks for all that it wrote. Plain tuples, made and looked up in C, equal the
        # keys, and cost a fifth of them.
        asked = set(zip(repeat(tenant), repeat(collection_id), record_ids, strict=False))
        with self._lock:
            return {key[2] for key in held.keys() & asked if held[key].until > now}

    async def refresh(self, values: Sequence[Cached]) -> None:
        self._newer(values, absent_too=False)

    async def write(self, values: Sequence[Cached]) -> None:
        self._newer(values, absent_too=True)

    async def claim(self, key: str, value: bytes, ttl_ms: int) -> bytes | None:
        now = self._clock.now()
        with self._lock:
            note = self._notes.get(key)
            if note is not None and note.until > now:
                return None if note.value == value else note.value
            self._note(key, value, now + ttl_ms)
        return None

    async def assign(self, key: str, value: bytes, ttl_ms: int) -> None:
        with self._lock:
            self._note(key, value, self._clock.now() + ttl_ms)

    async def release(self, key: str, value: bytes) -> None:
        with self._lock:
            note = self._notes.get(key)
            if note is not None and note.value == value:
                self._drop_note(key)

    async def add(self, amounts: Mapping[str, int], ttl_ms: int) -> Mapping[str, int] | None:
        now = self._clock.now()
        totals: dict[str, int] = {}
        with self._lock:
            for name, amount in amounts.items():
                count = self._counts.get(name)
                if count is None or count.until <= now:
                    count = _Count(0, now + ttl_ms)
                    self._counts.pop(name, None)
                totals[name] = count.total + amount
                self._counts[name] = _Count(totals[name], count.until)
            while len(self._counts) > _MOST_COUNTS:
                self._counts.popitem(last=False)
        return totals

    async def close(self) -> None:
        with self._lock:
            self._held.clear()
            self._notes.clear()
            self._counts.clear()
            self._bytes = self._note_bytes = 0

    def _newer(self, values: Sequence[Cached], *, absent_too: bool) -> None:
        now = self._clock.now()
        with self._lock:
            for value in values:
                one = self._present(value.key, now)
                older = (
                    absent_too
                    if one is None
                    else one.value is None or (one.value.fence < value.fence)
                )
                if older:
                    self._put(value, now)

    def _present(self, key: Key, now: int) -> _Held | None:
        one = self._held.get(key)
        return None if one is None or one.until <= now else one

    def _put(self, value: Cached, now: int) -> None:
        spread = self._entropy.bits(_JITTER_BITS) / (1 << _JITTER_BITS)
        until = now + int(value.ttl_ms * (1 - _JITTER * spread))
        self._hold(value.key, _Held(value, "", until))

    def _hold(self, key: Key, one: _Held) -> None:
        before = self._held.pop(key, None)
        if before is not None:
            self._bytes -= _size(before)
        self._held[key] = one
        self._bytes += _size(one)
        while self._bytes > self._most_bytes:
            _, gone = self._held.popitem(last=False)
            self._bytes -= _size(gone)

    def _note(self, key: str, value: bytes, until: int) -> None:
        self._drop_note(key)
        self._notes[key] = _Note(value, until)
        self._note_bytes += _note_size(key, value)
        while self._note_bytes > _MOST_NOTE_BYTES:
            self._drop_note(next(iter(self._notes)))

    def _drop_note(self, key: str) -> None:
        note = self._notes.pop(key, None)
        if note is not None:
            self._note_bytes -= _note_size(key, note.value)


def _note_size(key: str, value: bytes) -> int:
    return _NOTE_OVERHEAD_BYTES + len(key) + len(value)


def _size(one: _Held) -> int:
    body = b"" if one.value is None or one.value.body is None else one.value.body
    return _OVERHEAD_BYTES + len(body)
