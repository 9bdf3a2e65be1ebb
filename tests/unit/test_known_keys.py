"""Keys in memory: when the keyring is asked, and what holds while it cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
import pytest
from tests.support.clock import HandClock
from tests.support.entropy import SeededEntropy

from penstock.access.authentication import Authentication
from penstock.access.keys import KnownKeys
from penstock.access.principal import Principal
from penstock.errors import Unauthenticated, Unavailable
from penstock.ports.keyring import Keyring
from penstock.records.key import SECRET_BITS, Key, digest_of, new_key
from penstock.records.scope import Rate, Scope, Verb

ADMIN_KEY = "test-0123456789abcdef"
SCOPES = (Scope("orders-*", (Verb.READ,)),)
_bits = SeededEntropy().bits


class CountedKeyring:
    """Stands in for a keyring far away: what it is asked is kept."""

    def __init__(self) -> None:
        self.keys: dict[bytes, Key] = {}
        self.asked: list[list[bytes]] = []
        self.touched: list[dict[str, int]] = []
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()

    def made(self, expires_at: int | None = None) -> str:
        text = new_key(_bits(SECRET_BITS))
        digest = digest_of(text.encode())
        key_id, rate = f"key-{len(self.keys)}", Rate(requests_per_second=5)
        key = Key(key_id, "acme", "name", digest, SCOPES, 0, "admin", rate, expires_at)
        self.keys[digest] = key
        return text

    async def find(self, digests: Sequence[bytes]) -> Mapping[bytes, Key]:
        self.asked.append(list(digests))
        await self.answers.wait()
        if self.away:
            raise Unavailable("store_unavailable")
        return {one: self.keys[one] for one in digests if one in self.keys}

    async def touch(self, used: Mapping[str, int]) -> None:
        if self.away:
            raise Unavailable("store_unavailable")
        self.touched.append(dict(used))


class Door:
    """Authentication in front of such a keyring."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.keyring = CountedKeyring()
        self.known = KnownKeys(cast("Keyring", self.keyring), self.clock)
        self.authentication = Authentication(ADMIN_KEY, self.known, None, self.clock)

    async def __call__(self, key: str, scheme: str = "Bearer ") -> Principal:
        return await self.authentication.authenticate(f"{scheme}{key}".encode())

    def at_once(self, key: str) -> Principal | None:
        return self.authentication.recall(f"Bearer {key}".encode())

    async def refuses(self, key: str, scheme: str = "Bearer ") -> bool:
        try:
            await self(key, scheme)
        except Unauthenticated:
            return True
        return False


@pytest.fixture
def door() -> Door:
    return Door()


async def test_a_key_is_asked_for_once_and_then_known_without_waiting(door: Door) -> None:
    key = door.keyring.made()
    assert door.at_once(key) is None
    principal = await door(key)
    assert principal == Principal("acme", "key-0", SCOPES, Rate(requests_per_second=5))
    assert door.at_once(key) is principal
    assert await door(key, "bearer  ") is principal
    assert len(door.keyring.asked) == 1


async def test_the_admin_key_is_known_without_a_keyring(door: Door) -> None:
    door.keyring.away = True
    principal = door.at_once(ADMIN_KEY)
    assert principal is not None
    assert (principal.tenant, principal.is_operator) == ("default", True)
    assert door.keyring.asked == []


@pytest.mark.parametrize("key", ["", "x", ADMIN_KEY[:-1], f"{ADMIN_KEY}x", "a.b.c", "penstock_"])
async def test_what_cannot_be_a_key_is_refused_without_asking(door: Door, key: str) -> None:
    assert await door.refuses(key)
    assert door.keyring.asked == []


async def test_a_mistyped_key_is_refused_without_asking(door: Door) -> None:
    key = door.keyring.made()
    for place in range(len("penstock_"), len(key)):
        wrong = "0" if key[place] != "0" else "1"
        assert await door.refuses(f"{key[:place]}{wrong}{key[place + 1 :]}")
    assert await door.refuses(key.upper())
    assert door.keyring.asked == []


@pytest.mark.parametrize("scheme", ["", "Basic ", "Bearer", "Bearer:"])
async def test_another_scheme_is_refused(door: Door, scheme: str) -> None:
    key = door.keyring.made()
    await door(key)
    assert await door.refuses(key, scheme)
    with pytest.raises(Unauthenticated):
        door.authentication.recall(None)


async def test_an_unknown_key_is_asked_for_again_after_a_while_only(door: Door) -> None:
    key = new_key(_bits(SECRET_BITS))
    for _ in range(100):
        assert await door.refuses(key)
    assert len(door.keyring.asked) == 1
    door.clock.advance(5_001)
    assert await door.refuses(key)
    assert len(door.keyring.asked) == 2


async def test_a_storm_of_guesses_is_one_question_at_a_time(door: Door) -> None:
    guesses = [new_key(_bits(SECRET_BITS)) for _ in range(3_000)]
    key = door.keyring.made()
    door.keyring.answers.clear()
    asking = [asyncio.create_task(door.refuses(one)) for one in (*guesses, key)]
    await asyncio.sleep(0.01)
    assert len(door.keyring.asked) == 1
    door.keyring.answers.set()
    refused = await asyncio.gather(*asking)
    assert refused == [True] * 3_000 + [False]
    assert max(len(one) for one in door.keyring.asked) == 1_000
    assert sum(len(one) for one in door.keyring.asked) == 3_001
    assert len(door.keyring.asked) == 4


async def test_one_that_gives_up_harms_no_one_else_who_waits(door: Door) -> None:
    key = door.keyring.made()
    door.keyring.answers.clear()
    one, other = (asyncio.create_task(door(key)) for _ in range(2))
    await asyncio.sleep(0.01)
    one.cancel()
    await asyncio.sleep(0)
    door.keyring.answers.set()
    assert (await other).key_id == "key-0"
    assert one.cancelled()
    assert len(door.keyring.asked) == 1


async def test_what_is_revoked_elsewhere_is_refused_after_the_next_comparison(door: Door) -> None:
    key, kept = door.keyring.made(), door.keyring.made()
    await door(key)
    await door(kept)
    del door.keyring.keys[digest_of(key.encode())]
    assert door.at_once(key) is not None
    await door.known.compare()
    assert await door.refuses(key)
    assert door.at_once(kept) is not None


async def test_what_is_revoked_here_is_refused_at_once(door: Door) -> None:
    key = door.keyring.made()
    await door(key)
    door.known.forget(door.keyring.keys.pop(digest_of(key.encode())))
    assert await door.refuses(key)


async def test_a_key_is_refused_from_the_moment_it_expires(door: Door) -> None:
    key = door.keyring.made(expires_at=door.clock.now() + 1_000)
    await door(key)
    door.clock.advance(999)
    assert door.at_once(key) is not None
    door.clock.advance(1)
    with pytest.raises(Unauthenticated):
        door.at_once(key)
    await door.known.compare()
    assert await door.refuses(key)


async def test_an_end_that_is_moved_elsewhere_is_seen_by_the_next_comparison(door: Door) -> None:
    key = door.keyring.made()
    await door(key)
    digest = digest_of(key.encode())
    rotated = msgspec.structs.replace(door.keyring.keys[digest], expires_at=door.clock.now() + 50)
    door.keyring.keys[digest] = rotated
    await door.known.compare()
    assert door.at_once(key) is not None
    door.clock.advance(50)
    assert await door.refuses(key)


async def test_while_the_keyring_is_away_known_keys_stay_and_revocation_waits(door: Door) -> None:
    key, unknown = door.keyring.made(), door.keyring.made()
    await door(key)
    door.keyring.away = True
    del door.keyring.keys[digest_of(key.encode())]
    for _ in range(3):
        door.clock.advance(3_600_000)
        await door.known.compare()
        assert door.at_once(key) is not None
    with pytest.raises(Unavailable):
        await door(unknown)
    door.keyring.away = False
    assert (await door(unknown)).key_id == "key-1"
    await door.known.compare()
    assert await door.refuses(key)


async def test_what_is_not_used_for_long_is_forgotten_and_asked_for_again(door: Door) -> None:
    key, busy = door.keyring.made(), door.keyring.made()
    await door(key)
    await door(busy)
    for _ in range(11):
        await door.known.compare()
        door.clock.advance(60_000)
        assert door.at_once(busy) is not None
    await door.known.compare()
    assert door.at_once(key) is None
    assert door.at_once(busy) is not None
    assert (await door(key)).key_id == "key-0"


async def test_the_time_of_last_use_is_written_once_a_minute_at_most(door: Door) -> None:
    key = door.keyring.made()
    start = door.clock.now()
    for _ in range(70):
        await door(key)
        await door.known.compare()
        door.clock.advance(2_000)
    assert door.keyring.touched == [{"key-0": start + after} for after in (0, 60_000, 120_000)]
    await door.known.compare()
    await door(key)
    await door.known.close()
    assert door.keyring.touched[-1] == {"key-0": start + 140_000}
