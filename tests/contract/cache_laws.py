"""The laws of `ports.cache`: what may replace what, for how long, and what a claim means."""

from __future__ import annotations

import asyncio
import random
from typing import Protocol
from uuid import uuid4

import pytest

from penstock.ports.cache import Cache, Cached, Key
from penstock.records.position import Position, position

TTL_MS = 400
SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 16))]
ODD_IDS = [
    "a", "a:b", "a/b", "{a}", "a b", "*", "$", "\u00e9", "e\u0301", "\U0001f6b0", "x" * 512,
]  # fmt: skip


class Caches(Protocol):
    """Opens caches of the adapter that is held to the laws, and closes them after the test."""

    placeholder_ms: int
    """How long a placeholder stands, by the adapter."""

    async def fresh(self) -> Cache:
        """A cache that holds nothing of the keys that a test makes."""
        ...

    async def wait(self, milliseconds: int) -> None:
        """Let time pass: on the cache's clock where it has one to be set, in earnest elsewhere."""
        ...


def new_key(record_id: str = "r") -> Key:
    return Key("t", uuid4().hex[:16], record_id)


def at(offset: int) -> Position:
    return position(1, 0, offset)


def value(key: Key, offset: int, ttl_ms: int = 60_000) -> Cached:
    return Cached(*key, at(offset), at(offset), b'{"n":%d}' % offset, None, 1_000, ttl_ms)


async def get(cache: Cache, key: Key) -> Cached | None:
    """What is found; what is at hand is that, or nothing."""
    at_hand = cache.at_hand(key)
    (found,) = await cache.get([key])
    assert at_hand in (None, found)
    return found


async def is_present(cache: Cache, key: Key) -> bool:
    return bool(await cache.present(key.tenant, key.collection_id, [key.record_id]))


class CacheLaws:
    """To be inherited beside a fixture `caches`, a `Caches`."""

    # Filling.

    async def test_what_a_reader_reserved_and_filled_is_served(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), new_key()
        assert await get(cache, key) is None
        await cache.reserve([key], "token")
        assert await get(cache, key) is None
        await cache.fill([value(key, 1)], "token")
        assert await get(cache, key) == value(key, 1)

    async def test_every_field_comes_back_an_absence_too(self, caches: Caches) -> None:
        cache = await caches.fresh()
        collection = new_key().collection_id
        values = [
            Cached(
                "t", collection, "r1", at(9), at(7), b'{"a":"\xf0\x9f\x9a\xb0"}', 2**45, 5, 60_000
            ),
            Cached("t", collection, "r2", at(9), "", None, None, 2**41, 60_000),
            Cached("t", collection, "r3", Position(""), "", None, None, 0, 60_000),
        ]
        await cache.reserve([one.key for one in values], "token")
        await cache.fill(values, "token")
        assert await cache.get([one.key for one in values]) == values

    async def test_there_is_an_answer_for_each_key_in_order(self, caches: Caches) -> None:
        cache = await caches.fresh()
        collection = new_key().collection_id
        keys = [Key("t", collection, f"r{number}") for number in range(300)]
        await cache.write([value(key, place) for place, key in enumerate(keys) if place % 3])
        asked = [*reversed(keys), keys[1], keys[1]]
        places = [*reversed(range(300)), 1, 1]
        assert await cache.get(asked) == [
            value(keys[place], place) if place % 3 else None for place in places
        ]
        assert await cache.get([]) == []

    async def test_keys_differ_by_each_of_their_parts(self, caches: Caches) -> None:
        cache = await caches.fresh()
        one, other = new_key().collection_id, new_key().collection_id
        keys = [Key(tenant, collection, record_id) for tenant in ("t", "t:t")
                for collection in (one, other) for record_id in ODD_IDS]  # fmt: skip
        await cache.write([value(key, place) for place, key in enumerate(keys)])
        assert await cache.get(keys) == [value(key, place) for place, key in enumerate(keys)]
        joined = [Key("t", f"{one}:a", "b"), Key(f"t:{one}", "a", "b"), Key("t", one, "b")]
        assert await cache.get(joined) == [None, None, None]

    async def test_a_fill_without_its_own_placeholder_writes_nothing(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), new_key()
        await cache.fill([value(key, 1)], "token")
        assert not await is_present(cache, key)
        await cache.reserve([key], "token")
        await cache.fill([value(key, 1)], "another")
        assert await get(cache, key) is None
        await cache.fill([value(key, 2)], "token")
        assert await get(cache, key) == value(key, 2)

    async def test_a_placeholder_belongs_to_the_first_that_left_it(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), new_key()
        await cache.reserve([key], "first")
        await cache.reserve([key], "second")
        await cache.fill([value(key, 1)], "second")
        assert await get(cache, key) is None
        await cache.fill([value(key, 1)], "first")
        assert await get(cache, key) == value(key, 1)

    async def test_a_placeholder_does_not_hide_a_value(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), new_key()
        await cache.write([value(key, 1)])
        await cache.reserve([key], "token")
        assert await get(cache, key) == value(key, 1)

    async def test_a_fill_replaces_what_is_older_only(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), new_key()
        for stands, comes, remains in ((5, 4, 5), (5, 6, 6), (255, 256, 256), (256, 255, 256)):
            key = new_key()
            await cache.write([value(key, stands)])
            await cache.fill([value(key, comes)], "token")
            assert await get(cache, key) == value(key, remains)

    async def test_a_slow_reader_does_not_hide_a_newer_write(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), new_key()
        await cache.reserve([key], "slow")
        await cache.refresh([value(key, 2)])
        await cache.fill([value(key, 1)], "slow")
        assert await get(cache, key) == value(key, 2)

    async def test_a_placeholder_goes_by_itself_and_its_reader_is_too_late(
        self, caches: Caches
    ) -> None:
        cache, key = await caches.fresh(), new_key()
        await cache.reserve([key], "slow")
        assert await is_present(cache, key)
        await caches.wait(caches.placeholder_ms)
        assert not await is_present(cache, key)
        await cache.fill([value(key, 1)], "slow")
        await cache.reserve([key], "next")
        await cache.fill([value(key, 1)], "slow")
        assert await get(cache, key) is None
        await cache.fill([value(key, 2)], "next")
        assert await get(cache, key) == value(key, 2)

    # The worker's writes.

    async def test_a_refresh_touches_only_what_is_present(self, caches: Caches) -> None:
        cache = await caches.fresh()
        absent, reserved, older, newer = keys = [new_key() for _ in range(4)]
        await cache.reserve([reserved], "token")
        await cache.write([value(older, 4), value(newer, 6)])
        await cache.refresh([value(key, 5) for key in keys])
        assert await cache.get(keys) == [
            None, value(reserved, 5), value(older, 5), value(newer, 6),
        ]  # fmt: skip
        assert not await is_present(cache, absent)

    async def test_a_write_goes_in_unless_something_newer_stands(self, caches: Caches) -> None:
        cache = await caches.fresh()
        absent, reserved, older, newer = keys = [new_key() for _ in range(4)]
        await cache.reserve([reserved], "token")
        await cache.write([value(older, 4), value(newer, 6)])
        await cache.write([value(key, 5) for key in keys])
        await cache.fill([value(reserved, 4)], "token")
        assert await cache.get(keys) == [
            value(absent, 5), value(reserved, 5), value(older, 5), value(newer, 6),
        ]  # fmt: skip

    async def test_present_are_values_and_placeholders_of_that_collection(
        self, caches: Caches
    ) -> None:
        cache, key = await caches.fresh(), new_key("filled")
        tenant, collection, _ = key
        await cache.write([value(key, 1), value(new_key("elsewhere"), 1)])
        await cache.reserve([key._replace(record_id="reserved")], "token")
        await cache.reserve([key._replace(tenant="u", record_id="foreign")], "token")
        asked = ["absent", "filled", "reserved", "foreign", "elsewhere", *map(str, range(500))]
        assert await cache.present(tenant, collection, asked) == {"filled", "reserved"}
        assert await cache.present(tenant, collection, set(asked)) == {"filled", "reserved"}
        assert await cache.present(tenant, collection, []) == set()

    # Time.

    async def test_a_value_is_not_served_after_its_time(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), new_key()
        await cache.write([value(key, 1, TTL_MS)])
        assert await get(cache, key) == value(key, 1, TTL_MS)
        await caches.wait(TTL_MS)
        assert await get(cache, key) is None
        assert not await is_present(cache, key)
        await cache.refresh([value(key, 2)])
        assert await get(cache, key) is None
        await cache.reserve([key], "token")
        await cache.fill([value(key, 3)], "token")
        assert await get(cache, key) == value(key, 3)

    async def test_being_read_does_not_lengthen_the_time_of_a_value(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), new_key()
        await cache.write([value(key, 1, TTL_MS)])
        for _ in range(4):
            await caches.wait(TTL_MS // 4)
            await get(cache, key)
        assert await get(cache, key) is None

    # All together.

    @pytest.mark.parametrize("seed", SEEDS)
    async def test_what_is_served_never_goes_back(self, caches: Caches, seed: int) -> None:
        """Readers and a worker, interleaved at random; a step may come late or never."""
        chance = random.Random(seed)
        cache = await caches.fresh()
        records = [_Record(new_key()) for _ in range(3)]
        for _ in range(400):
            record = chance.choice(records)
            if chance.random() < 0.02:
                await caches.wait(TTL_MS)
            else:
                await record.step(cache, chance)
            served = await get(cache, record.key)
            if served is not None:
                assert record.told <= served.fence <= at(record.stored)
                record.told = served.fence

    # Claims.

    async def test_the_first_claim_holds_until_it_is_released(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), f"k:{uuid4().hex} \u00e9"
        assert await cache.claim(key, b"one\x00\xff", 60_000) is None
        assert await cache.claim(key, b"two", 60_000) == b"one\x00\xff"
        await cache.release(key, b"one\x00\xff")
        assert await cache.claim(key, b"three", 60_000) is None
        assert await cache.claim(key, b"four", 60_000) == b"three"
        assert await cache.claim(key + "'", b"five", 60_000) is None
        await cache.release(uuid4().hex, b"")

    async def test_a_claim_may_be_repeated_by_who_made_it(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), uuid4().hex
        for _ in range(3):
            assert await cache.claim(key, b"one", 60_000) is None
        assert await cache.claim(key, b"two", 60_000) == b"one"

    async def test_a_release_leaves_what_another_has_claimed_since(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), uuid4().hex
        await cache.claim(key, b"late", TTL_MS)
        await caches.wait(TTL_MS)
        await cache.claim(key, b"next", 60_000)
        await cache.release(key, b"late")
        assert await cache.claim(key, b"third", 60_000) == b"next"
        await cache.assign(key, b"answer", 60_000)
        await cache.release(key, b"next")
        assert await cache.claim(key, b"third", 60_000) == b"answer"

    async def test_what_is_assigned_stands_whatever_stood(self, caches: Caches) -> None:
        cache, claimed, free = await caches.fresh(), uuid4().hex, uuid4().hex
        await cache.claim(claimed, b"claim", 60_000)
        for key in (claimed, free):
            await cache.assign(key, b"answer", 60_000)
            assert await cache.claim(key, b"again", 60_000) == b"answer"

    async def test_a_claim_ends_with_its_time(self, caches: Caches) -> None:
        cache, claimed, assigned = await caches.fresh(), uuid4().hex, uuid4().hex
        await cache.claim(claimed, b"one", TTL_MS)
        await cache.claim(assigned, b"one", 60_000)
        await cache.assign(assigned, b"answer", TTL_MS)
        await caches.wait(TTL_MS)
        assert await cache.claim(claimed, b"two", 60_000) is None
        assert await cache.claim(assigned, b"two", 60_000) is None

    async def test_of_claims_at_once_one_succeeds(self, caches: Caches) -> None:
        cache, key = await caches.fresh(), uuid4().hex
        values = [b"%d" % number for number in range(50)]
        answers = await asyncio.gather(*[cache.claim(key, one, 60_000) for one in values])
        assert answers.count(None) == 1
        winner = values[answers.index(None)]
        assert set(answers) == {None, winner}

    # Counts.

    async def test_what_is_added_comes_together_by_name(self, caches: Caches) -> None:
        cache = await caches.fresh()
        names = [f"{uuid4().hex} \u00e9 {number}" for number in range(200)]
        first = {name: number for number, name in enumerate(names)}
        assert await cache.add(first, 60_000) == first
        assert await cache.add({names[3]: 2**40, names[7]: 0}, 60_000) == {
            names[3]: 2**40 + 3,
            names[7]: 7,
        }
        assert await cache.add(dict.fromkeys(names, 0), 60_000) == first | {names[3]: 2**40 + 3}
        assert await cache.add({}, 60_000) == {}

    async def test_of_additions_at_once_none_is_lost(self, caches: Caches) -> None:
        cache = await caches.fresh()
        names = [uuid4().hex for _ in range(20)]
        told = await asyncio.gather(
            *[cache.add(dict.fromkeys(names, number), 60_000) for number in range(40)]
        )
        assert None not in told
        assert await cache.add(dict.fromkeys(names, 0), 60_000) == dict.fromkeys(names, 780)

    async def test_a_count_ends_with_its_time_though_it_is_added_to(self, caches: Caches) -> None:
        cache, name = await caches.fresh(), uuid4().hex
        assert await cache.add({name: 1}, TTL_MS) == {name: 1}
        await caches.wait(TTL_MS // 2)
        assert await cache.add({name: 2}, TTL_MS) == {name: 3}
        await caches.wait(TTL_MS // 2 + 1)
        assert await cache.add({name: 4}, TTL_MS) == {name: 4}


class _Record:
    """A record in a store; readers and the worker are about to tell the cache of it.

    Attributes:
        stored: the offset of its last entry.
        told: the fence that the cache must not fall behind any more.
    """

    def __init__(self, key: Key) -> None:
        self.key = key
        self.stored = 0
        self.told = at(0)
        self._reserved: list[str] = []
        self._read: list[tuple[str, Cached]] = []

    async def step(self, cache: Cache, chance: random.Random) -> None:
        """One step of a reader, who reserves, reads and fills, or of the worker."""
        what = chance.choice(["reserve", "read", "read", "fill", "fill", "store", "tell"])
        if what == "reserve":
            self._reserved.append(uuid4().hex)
            await cache.reserve([self.key], self._reserved[-1])
        elif what == "read" and self._reserved:
            token = self._reserved.pop(chance.randrange(len(self._reserved)))
            self._read.append((token, self._value()))
        elif what == "fill" and self._read:
            token, found = self._read.pop(chance.randrange(len(self._read)))
            await cache.fill([found], token)
        elif what == "store":
            self.stored += 1
        elif what == "tell":
            tell = chance.choice([cache.refresh, cache.write])
            await tell([self._value()])
            self.told = at(self.stored)

    def _value(self) -> Cached:
        return value(self.key, self.stored, TTL_MS)
