"""The laws of `ports.keyring`: what is kept of keys, and what is left of a revoked one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Protocol

from penstock.ports.keyring import Keyring
from penstock.records.key import Key
from penstock.records.scope import EVERYTHING, Rate, Scope, Verb

NOW = 2**42
"""To come, by any server's clock: what expired long ago may be removed."""
FULL_RATE = Rate(requests_per_second=0.5, bytes_per_second=2.0**39)
SCOPES = (Scope("orders-*", (Verb.READ, Verb.WRITE)), Scope("*", (Verb.ADMIN,)))


class Keyrings(Protocol):
    """Opens keyrings of the adapter that is held to the laws, and closes them after the test."""

    async def fresh(self) -> Keyring:
        """A keyring without any key."""
        ...

    async def reopened(self, keyring: Keyring) -> Keyring:
        """The same keyring as another process finds it, after this one has ended."""
        ...


def key(number: int, tenant: str = "t", **more: Any) -> Key:
    given: dict[str, Any] = {
        "name": f"key {number}",
        "digest": blake2b(b"%d" % number, digest_size=32).digest(),
        "scopes": EVERYTHING,
        "created_at": NOW + number,
        "created_by": "admin",
    }
    return Key(f"{number:020x}", tenant, **given | more)


def ids(keys: Sequence[Key]) -> list[int]:
    return [int(one.id, 16) for one in keys]


class KeyringLaws:
    """To be inherited beside a fixture `keyrings`, a `Keyrings`."""

    async def test_a_key_is_found_as_it_was_put(self, keyrings: Keyrings) -> None:
        keyring = await keyrings.fresh()
        full = key(
            1,
            name="\u00e9\U0001f6b0 $x.y",
            scopes=SCOPES,
            rate=FULL_RATE,
            expires_at=NOW + 2**40,
            last_used_at=NOW + 1,
        )
        for one in (full, key(2)):
            await keyring.put(one)
        for reopen in (False, True):
            keyring = await keyrings.reopened(keyring) if reopen else keyring
            for one in (full, key(2)):
                assert await keyring.get("t", one.id) == one
                assert await keyring.find([one.digest]) == {one.digest: one}

    async def test_only_what_is_there_is_found(self, keyrings: Keyrings) -> None:
        keyring = await keyrings.fresh()
        one, other, absent = key(1), key(2, "u"), key(3)
        for put in (one, other):
            await keyring.put(put)
        found = await keyring.find([absent.digest, other.digest, one.digest])
        assert found == {one.digest: one, other.digest: other}
        assert await keyring.find([]) == {}
        assert await keyring.find([one.digest[:-1], one.digest + b"\0"]) == {}
        assert await keyring.get("t", absent.id) is None

    async def test_a_tenant_sees_and_changes_its_own_keys_only(self, keyrings: Keyrings) -> None:
        keyring = await keyrings.fresh()
        for one in (key(1), key(2, "u"), key(3)):
            await keyring.put(one)
        assert ids(await keyring.list("t", "", 10)) == [1, 3]
        assert ids(await keyring.list("u", "", 10)) == [2]
        assert ids(await keyring.list("v", "", 10)) == []
        assert await keyring.get("t", key(2).id) is None
        assert await keyring.revoke("t", key(2).id) is None
        assert await keyring.rotate(key(2).id, key(4, "t"), NOW) is None
        assert await keyring.get("u", key(2).id) == key(2, "u")
        assert await keyring.get("t", key(4).id) is None
        assert await keyring.find([key(4).digest]) == {}

    async def test_keys_are_listed_by_id_part_by_part(self, keyrings: Keyrings) -> None:
        keyring = await keyrings.fresh()
        for number in (5, 3, 1, 4, 2):
            await keyring.put(key(number))
        assert ids(await keyring.list("t", "", 2)) == [1, 2]
        assert ids(await keyring.list("t", key(2).id, 2)) == [3, 4]
        assert ids(await keyring.list("t", key(4).id, 2)) == [5]
        assert ids(await keyring.list("t", key(5).id, 2)) == []

    async def test_a_revoked_key_is_gone(self, keyrings: Keyrings) -> None:
        keyring = await keyrings.fresh()
        for one in (key(1), key(2)):
            await keyring.put(one)
        assert await keyring.revoke("t", key(1).id) == key(1)
        assert await keyring.revoke("t", key(1).id) is None
        for reopen in (False, True):
            keyring = await keyrings.reopened(keyring) if reopen else keyring
            assert await keyring.get("t", key(1).id) is None
            assert await keyring.find([key(1).digest, key(2).digest]) == {key(2).digest: key(2)}
            assert ids(await keyring.list("t", "", 10)) == [2]

    async def test_what_is_under_way_brings_no_revoked_key_back(self, keyrings: Keyrings) -> None:
        keyring = await keyrings.fresh()
        await keyring.put(key(1))
        await keyring.revoke("t", key(1).id)
        await keyring.touch({key(1).id: NOW + 9})
        assert await keyring.rotate(key(1).id, key(2), NOW + 9) is None
        assert await keyring.find([key(1).digest, key(2).digest]) == {}
        assert await keyring.list("t", "", 10) == []

    async def test_a_rotated_key_ends_when_the_overlap_does(self, keyrings: Keyrings) -> None:
        keyring = await keyrings.fresh()
        await keyring.put(key(1))
        old = await keyring.rotate(key(1).id, key(2), NOW + 500)
        assert old == key(1, expires_at=NOW + 500, replaced_by=key(2).id)
        for reopen in (False, True):
            keyring = await keyrings.reopened(keyring) if reopen else keyring
            assert await keyring.get("t", key(1).id) == old
            assert await keyring.get("t", key(2).id) == key(2)
            found = await keyring.find([key(1).digest, key(2).digest])
            assert found == {key(1).digest: old, key(2).digest: key(2)}

    async def test_a_rotation_never_lengthens_a_keys_life(self, keyrings: Keyrings) -> None:
        keyring = await keyrings.fresh()
        await keyring.put(key(1, expires_at=NOW + 100))
        for number, until, expected in ((2, 900, 100), (3, 50, 50), (4, 70, 50)):
            old = await keyring.rotate(key(1).id, key(number), NOW + until)
            assert old is not None
            assert (old.expires_at, old.replaced_by) == (NOW + expected, key(number).id)

    async def test_of_the_times_of_use_the_latest_stays(self, keyrings: Keyrings) -> None:
        keyring = await keyrings.fresh()
        for one in (key(1), key(2), key(3)):
            await keyring.put(one)
        await keyring.touch({})
        await keyring.touch({key(1).id: NOW + 50, key(2).id: NOW + 60, key(9).id: NOW + 1})
        await keyring.touch({key(1).id: NOW + 40, key(2).id: NOW + 70})
        keyring = await keyrings.reopened(keyring)
        used = [one.last_used_at for one in await keyring.list("t", "", 10)]
        assert used == [NOW + 50, NOW + 70, None]
        assert (await keyring.find([key(1).digest]))[key(1).digest].last_used_at == NOW + 50

    async def test_changes_at_once_all_take_effect(self, keyrings: Keyrings) -> None:
        keyring = await keyrings.fresh()
        await asyncio.gather(*(keyring.put(key(number)) for number in range(1, 21)))
        gone = await asyncio.gather(
            *(keyring.revoke("t", key(number).id) for number in (*range(1, 6), *range(1, 6)))
        )
        assert sum(one is not None for one in gone) == 5
        assert ids(await keyring.list("t", "", 100)) == list(range(6, 21))
