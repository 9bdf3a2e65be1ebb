"""What cannot be applied: put aside, seen, replayed, dropped, through HTTP and the command line."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.asgi import Client, Reply, application_of
from tests.support.defect import REASON, a_defect
from tests.support.house import House

from penstock.apply.aside import MOST
from penstock.errors import NotFound, TooManyDefects
from penstock.records.letter import Letter
from penstock.records.position import Position, position

JSON = [("content-type", "application/json")]
RECORDS = "/v1/collections/c/records"
LETTERS = "/v1/dead-letters"
SOON_S = 20


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "data")
    await house.start()
    await house.collection("c")
    yield house
    await house.crash()


class Ask:
    """Asks the API of a house."""

    def __init__(self, house: House) -> None:
        self._client = Client(application_of(house))

    async def put(self, record_id: str, data: Any, target: str = RECORDS) -> str:
        """Write; returns the receipt."""
        return await self._write("PUT", f"{target}/{record_id}", data)

    async def patch(self, record_id: str, data: Any) -> str:
        return await self._write("PATCH", f"{RECORDS}/{record_id}", data)

    async def delete(self, record_id: str) -> str:
        return await self._write("DELETE", f"{RECORDS}/{record_id}", None)

    async def _write(self, method: str, target: str, data: Any) -> str:
        body = b"" if data is None else json.dumps(data).encode()
        reply = await self._client(method, target, body, JSON if body else ())
        assert reply.status == 202, reply
        return str(reply.json["receipt"])

    async def get(self, target: str, receipt: str | None = None) -> Reply:
        headers = () if receipt is None else (("penstock-receipt", receipt),)
        return await self._client("GET", target, headers=headers)

    async def settled(self, receipt: str) -> dict[str, Any]:
        """What became of a write, once that is known."""
        found: dict[str, Any] = {}

        async def known() -> bool:
            nonlocal found
            found = (await self.get(f"/v1/receipts/{receipt}")).json
            return bool(found["status"] != "durable")

        await eventually(known)
        return found

    async def letters(self, query: str = "") -> list[dict[str, Any]]:
        reply = await self.get(f"{LETTERS}{query}")
        assert reply.status == 200, reply
        letters: list[dict[str, Any]] = reply.json["dead_letters"]
        return letters

    async def replay(self, position: str) -> dict[str, Any]:
        body = json.dumps({"position": position}).encode()
        reply = await self._client("POST", f"{LETTERS}:replay", body, JSON)
        assert reply.status == 200, reply
        replayed: dict[str, Any] = reply.json
        return replayed

    async def drop(self, position: str) -> int:
        return (await self._client("DELETE", f"{LETTERS}/{position}")).status


@pytest.fixture
def ask(house: House) -> Ask:
    return Ask(house)


async def eventually(reached: Callable[[], Any]) -> None:
    until = time.monotonic() + SOON_S
    while not await reached():
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


async def test_what_cannot_be_applied_goes_aside_and_what_follows_waits_behind_it(
    ask: Ask,
) -> None:
    await ask.settled(await ask.put("a", {"n": 1}))
    with a_defect():
        poison = await ask.put("a", {"poison": 2})
        behind = await ask.patch("a", {"n": 3})
        other = await ask.put("b", {"n": 4})
        assert (await ask.settled(other))["status"] == "applied"
        for receipt in (poison, behind):
            settled = await ask.settled(receipt)
            assert settled["status"] == "quarantined"
            assert settled["problem"]["code"] == "quarantined"

    first, second = await ask.letters()
    assert first["reason"] == REASON
    assert "behind" not in first
    assert (first["collection"], first["id"], first["operation"]) == ("c", "a", "put")
    assert (second["operation"], second["behind"]) == ("patch", first["position"])
    assert "reason" not in second
    shown = (await ask.get(f"{LETTERS}/{first['position']}")).json
    assert shown == {**first, "data": {"poison": 2}}


async def test_a_parked_record_is_served_as_it_was_and_not_to_who_asks_for_more(ask: Ask) -> None:
    before = await ask.put("a", {"n": 1})
    await ask.settled(before)
    with a_defect():
        poison = await ask.put("a", {"poison": 2})
        never = await ask.put("never", {"poison": 3})
        await ask.settled(never)
        await ask.settled(poison)
    assert (await ask.get(f"{RECORDS}/a")).json["data"] == {"n": 1}
    assert (await ask.get(f"{RECORDS}/a", before)).json["data"] == {"n": 1}
    assert (await ask.get(f"{RECORDS}/never")).status == 404
    for target in (f"{RECORDS}/a", RECORDS):
        refused = await ask.get(target, poison)
        assert (refused.status, refused.json["code"]) == (409, "quarantined")
    assert (await ask.get(f"{RECORDS}/never", never)).json["code"] == "quarantined"
    # It says nothing about other records, nor about what came before.
    later = await ask.put("b", {"n": 4})
    await ask.settled(later)
    assert (await ask.get(f"{RECORDS}/b", later)).status == 200
    assert [one["id"] for one in (await ask.get(RECORDS, before)).json["records"]] == ["a", "b"]


async def test_a_replay_brings_in_what_waited_in_order(ask: Ask) -> None:
    created = await ask.settled(await ask.put("a", {"n": 1}))
    with a_defect():
        receipts = [
            await ask.put("a", {"poison": 2}),
            await ask.patch("a", {"n": 3}),
            await ask.patch("a", {"m": 4}),
        ]
        await ask.settled(receipts[-1])
    positions = [one["position"] for one in await ask.letters()]
    # Any of them will do: it is the record that is replayed.
    assert await ask.replay(positions[1]) == {"replayed": 3, "left": False}
    found = await ask.get(f"{RECORDS}/a", receipts[-1])
    assert found.json["data"] == {"poison": 2, "n": 3, "m": 4}
    assert found.json["version"] == positions[-1] > created["version"]
    assert await ask.letters() == []
    for receipt in receipts:
        assert (await ask.settled(receipt))["status"] == "applied"
    await ask.settled(await ask.patch("a", {"after": True}))
    assert (await ask.get(f"{RECORDS}/a")).json["data"]["after"]


async def test_a_replay_stops_at_what_still_cannot_be_applied(ask: Ask) -> None:
    with a_defect():
        await ask.settled(await ask.put("a", {"poison": 1}))
        (first,) = await ask.letters()
        assert await ask.replay(first["position"]) == {
            "replayed": 0, "left": True, "reason": REASON,
        }  # fmt: skip
        last = await ask.patch("a", {"n": 2})
        await ask.settled(last)
    assert (await ask.replay(first["position"]))["replayed"] == 2
    assert (await ask.get(f"{RECORDS}/a", last)).json["data"] == {"poison": 1, "n": 2}


async def test_a_dropped_letter_never_happens_and_the_rest_can(ask: Ask) -> None:
    await ask.settled(await ask.put("a", {"n": 1}))
    with a_defect():
        poison = await ask.put("a", {"poison": 2})
        behind = await ask.patch("a", {"m": 3})
        await ask.settled(behind)
    first, second = await ask.letters()
    assert await ask.drop(first["position"]) == 204
    assert await ask.drop(first["position"]) == 404
    assert await ask.replay(second["position"]) == {"replayed": 1, "left": False}
    assert (await ask.get(f"{RECORDS}/a", behind)).json["data"] == {"n": 1, "m": 3}
    assert (await ask.settled(poison))["status"] == "quarantined"
    assert (await ask.settled(behind))["status"] == "applied"


async def test_dropping_the_only_letter_lets_the_record_go_on(ask: Ask) -> None:
    with a_defect():
        await ask.settled(await ask.put("never", {"poison": 1}))
        (letter,) = await ask.letters()
        assert await ask.drop(letter["position"]) == 204
    assert await ask.letters() == []
    after = await ask.put("never", {"n": 2})
    assert (await ask.get(f"{RECORDS}/never", after)).json["data"] == {"n": 2}


async def test_rejections_and_deletions_are_replayed_as_they_would_have_been(ask: Ask) -> None:
    with a_defect():
        await ask.put("a", {"poison": 1})
        deleted = await ask.delete("a")
        rejected = await ask.patch("a", {"n": 2})
        await ask.settled(rejected)
    (first, *_) = await ask.letters()
    assert (await ask.replay(first["position"]))["replayed"] == 3
    assert (await ask.settled(deleted))["status"] == "applied"
    settled = await ask.settled(rejected)
    assert (settled["status"], settled["problem"]["code"]) == ("rejected", "record_not_found")
    assert (await ask.get(f"{RECORDS}/a", rejected)).status == 404


async def test_letters_are_listed_page_by_page_and_by_collection(house: House, ask: Ask) -> None:
    await house.collection("other")
    with a_defect():
        for number in range(5):
            await ask.put(f"r{number}", {"poison": number})
        await ask.settled(await ask.put("x", {"poison": 9}, target="/v1/collections/other/records"))
        await eventually(lambda: _has(ask, 6))
    everything = await ask.letters()
    assert sorted(one["id"] for one in everything) == ["r0", "r1", "r2", "r3", "r4", "x"]
    assert [one["id"] for one in await ask.letters("?collection=other")] == ["x"]
    token, seen = "", []
    while True:
        page = (await ask.get(f"{LETTERS}?page_size=2{token}")).json
        seen += page["dead_letters"]
        if "next_page_token" not in page:
            break
        token = f"&page_token={page['next_page_token']}"
    assert seen == everything


async def test_a_tenant_sees_its_own_letters_and_no_trace_of_others(house: House, ask: Ask) -> None:
    with a_defect():
        for number in range(5):
            await ask.settled(await ask.put(f"r{number}", {"poison": number}))
    first, *_ = await ask.letters()
    unreadable = Letter(position(1, 0, 10**6), 1_000, "", "", "", b"anybody's", "no entry")
    async with house.engines.store.batch() as batch:
        await batch.put_aside([unreadable])
    # Among the others by its position, wherever the log has put those.
    assert [one.get("reason") for one in await ask.letters()].count("no entry") == 1
    quarantine = house.parts.quarantine
    for size in (1, 4, 5, 100):
        assert await quarantine.page("other", None, None, size) == ([], None)
    for letter in (Position(first["position"]), unreadable.position):
        for act in (quarantine.letter, quarantine.replay, quarantine.drop):
            with pytest.raises(NotFound):
                await act("other", letter)
    assert len(await ask.letters()) == 6


async def _has(ask: Ask, count: int) -> bool:
    return len(await ask.letters()) == count


async def test_what_is_no_letter_is_404(ask: Ask) -> None:
    for text in (position(1, 0, 10**6), "x", "%00"):
        assert (await ask.get(f"{LETTERS}/{text}")).json["code"] == "dead_letter_not_found"
        assert await ask.drop(text) == 404
    assert (await ask.get(f"{LETTERS}?page_token=x")).json["code"] == "invalid_page_token"
    assert (await ask.get(f"{LETTERS}?collection=none")).json["code"] == "collection_not_found"


async def test_a_burst_stops_the_worker_and_puts_nothing_more_aside(
    tmp_path: Path,
) -> None:
    house = House(tmp_path / "burst")
    await house.start(worker=False)
    await house.collection("c")
    ask = Ask(house)
    for number in range(MOST + 1):
        await ask.put(f"r{number}", {"poison": number})
    with a_defect():
        house.start_worker()
        with pytest.raises(TooManyDefects, match=f"More than {MOST} entries"):
            await house.worker_ended()
        assert len(await ask.letters()) <= MOST
    await house.crash()
    await house.start()
    ask = Ask(house)
    # Without transactions, those before the one too many stay put aside.
    for letter in await ask.letters():
        await ask.replay(letter["position"])
    for number in range(MOST + 1):
        await eventually(partial(_holds, ask, number))
    await house.crash()


async def _holds(ask: Ask, number: int) -> bool:
    found = await ask.get(f"{RECORDS}/r{number}")
    return found.status == 200 and bool(found.json["data"] == {"poison": number})
