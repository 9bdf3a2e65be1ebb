"""Quotas over HTTP: what is refused, what is slowed down, and what an answer says of it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.support.asgi import Client, Reply, application_of
from tests.support.clock import HandClock
from tests.support.house import House

JSON = ("content-type", "application/json")
LINES = ("content-type", "application/x-ndjson")
GZIP = ("content-encoding", "gzip")
RECORDS = "/v1/collections/c/records"
LARGEST = 2_000


class Platform:
    """A house with quotas, asked over HTTP. Its time goes on: what is to be exact comes slowly."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.clock = HandClock()
        sizes = {"max_body_bytes": LARGEST, "max_line_bytes": LARGEST}
        self.house = House(folder, self.clock, **(sizes | settings))

    async def __aenter__(self) -> Client:
        await self.house.start()
        await self.house.collection("c")
        return Client(application_of(self.house))

    async def __aexit__(self, *_: object) -> None:
        await self.house.stop()


@pytest.fixture
async def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path, key_requests_per_second=0.2, tenant_requests_per_second=0.5)


def record(size: int) -> bytes:
    """A body of so many bytes."""
    return json.dumps({"a": "x" * (size - len('{"a": ""}'))}).encode()


def left(reply: Reply, policy: str) -> int:
    """What the answer says is left of a quota."""
    for item in reply.headers["ratelimit"].split(", "):
        name, remaining, _ = item.split(";")
        if name == f'"{policy}"':
            return int(remaining.removeprefix("r="))
    raise AssertionError(policy)


async def test_answers_say_what_is_left_and_a_refusal_when_to_come_again(
    platform: Platform,
) -> None:
    async with platform as client:
        first = await client("GET", "/nowhere")
        assert first.status == 404
        assert first.headers["ratelimit-policy"] == '"key";q=1;w=5, "tenant";q=1;w=2'
        assert first.headers["ratelimit"] == '"key";r=0;t=5, "tenant";r=0;t=2'
        refused = await client("PUT", f"{RECORDS}/a", b"{}", [JSON])
        assert refused.status == 429
        assert refused.headers["ratelimit"].startswith('"key";r=0;t=')
        assert refused.headers["ratelimit-policy"] == first.headers["ratelimit-policy"]
        retry_after = refused.headers["retry-after"]
        assert retry_after in ("4", "5")
        assert refused.json == {
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Your quota is used up for the moment.",
            "status": 429,
            "detail": f"The quota key and tenant is used up for {retry_after} seconds more.",
            "code": "quota_exceeded",
            "retryable": True,
            "request_id": refused.headers["x-request-id"],
            "violated-policies": ["key", "tenant"],
        }
        platform.clock.advance(1000 * int(retry_after))
        assert (await client("GET", f"{RECORDS}/a")).status == 404, "nothing was written"
        platform.clock.advance(5000)
        assert (await client("PUT", f"{RECORDS}/a", b"{}", [JSON])).status == 202


async def test_what_needs_no_key_and_wrong_keys_count_for_nothing(platform: Platform) -> None:
    async with platform as client:
        for _ in range(5):
            health = await client("GET", "/livez")
            assert (health.status, "ratelimit" in health.headers) == (200, False)
        right, client.key = client.key, "wrong"
        for _ in range(5):
            assert (await client("GET", "/v1/collections")).status == 401
        client.key = right
        assert (await client("GET", "/v1/collections")).status == 200


async def test_who_is_not_limited_is_told_nothing(tmp_path: Path) -> None:
    async with Platform(tmp_path) as client:
        reply = await client("GET", "/v1/collections")
        assert not [name for name in reply.headers if name.startswith("ratelimit")]


async def test_one_of_the_largest_bodies_always_fits_and_another_waits(tmp_path: Path) -> None:
    platform = Platform(tmp_path, key_bytes_per_second=100)
    async with platform as client:
        put = await client("PUT", f"{RECORDS}/a", record(LARGEST), [JSON])
        assert put.status == 202
        assert put.headers["ratelimit-policy"] == '"key-bytes";q=2000;qu="content-bytes";w=20'
        refused = await client("PUT", f"{RECORDS}/b", record(LARGEST), [JSON])
        assert (refused.status, refused.json["violated-policies"]) == (429, ["key-bytes"])
        # Its answer is owed too, and the time until then counts.
        assert 20 <= int(refused.headers["retry-after"]) <= -(-(LARGEST + len(put.body)) // 100)
        platform.clock.advance(1000 * int(refused.headers["retry-after"]))
        assert (await client("PUT", f"{RECORDS}/b", record(LARGEST), [JSON])).status == 202


async def test_a_body_is_counted_as_it_unfolds_and_an_answer_afterwards(tmp_path: Path) -> None:
    platform = Platform(tmp_path, key_bytes_per_second=0.01, max_body_bytes=20_000)
    async with platform as client:
        plain = await client("PUT", f"{RECORDS}/a?ack=applied", record(1500), [JSON])
        pieces = [record(1500)[:1000], record(1500)[1000:]]
        chunked = await client("PUT", f"{RECORDS}/b", pieces, [JSON])
        folded = await client("PUT", f"{RECORDS}/c", gzip.compress(record(1500)), [JSON, GZIP])
        assert (plain.status, chunked.status, folded.status) == (201, 202, 202)
        spent = 3 * 1500 + sum(len(one.body) for one in (plain, chunked, folded))
        assert left(folded, "key-bytes") == 20_000 - spent
        read = await client("GET", f"{RECORDS}/a")
        assert left(read, "key-bytes") == left(folded, "key-bytes") - len(read.body)
        for method, target, status in (("HEAD", "/a", 200), ("GET", "/x", 404)):
            cheap = await client(method, f"{RECORDS}{target}")
            assert (cheap.status, left(cheap, "key-bytes")) == (status, left(read, "key-bytes"))


async def test_an_answer_that_is_too_much_is_given_and_owed(tmp_path: Path) -> None:
    platform = Platform(tmp_path, key_bytes_per_second=2_000)
    async with platform as client:
        for number in range(5):
            platform.clock.advance(10_000)
            await client("PUT", f"{RECORDS}/r{number}?ack=applied", record(1900), [JSON])
        platform.clock.advance(10_000)
        ids = json.dumps({"ids": [f"r{number}" for number in range(5)]}).encode()
        found = await client("POST", f"{RECORDS}:get", ids, [JSON])
        assert (found.status, len(found.json["records"])) == (200, 5)
        assert left(found, "key-bytes") == 0
        refused = await client("GET", f"{RECORDS}/r0")
        owed = len(ids) + len(found.body) - 2_000
        assert refused.status == 429
        assert owed // 2_000 <= int(refused.headers["retry-after"]) <= -(-owed // 2_000)
        # Asking on does not put it off.
        again = [await client("GET", f"{RECORDS}/r0") for _ in range(50)]
        assert int(again[-1].headers["retry-after"]) <= int(refused.headers["retry-after"])


async def test_a_body_that_is_too_large_is_refused_for_that_and_not_charged(
    tmp_path: Path,
) -> None:
    async with Platform(tmp_path, key_bytes_per_second=2_000) as client:
        reply = await client("PUT", f"{RECORDS}/a", record(LARGEST + 1), [JSON])
        assert (reply.status, left(reply, "key-bytes")) == (413, 2_000)


async def test_a_bulk_is_one_request_and_slowed_down_not_broken(tmp_path: Path) -> None:
    platform = Platform(
        tmp_path, key_requests_per_second=0.1, key_bytes_per_second=20_000, idle_ms=300
    )
    line = b'{"id":"%d","data":{"a":"%b"}}\n'
    pieces = [line % (number, b"x" * 950) for number in range(35)]
    async with platform as client:
        loop = asyncio.get_running_loop()
        began = loop.time()
        bulk = await client("POST", f"{RECORDS}:bulk", pieces, [LINES])
        taken = loop.time() - began
        assert bulk.lines[-1]["accepted"] == 35
        assert left(bulk, "key") == 0
        spent = sum(map(len, pieces)) + len(bulk.body)
        assert taken >= (spent - 20_000 - 1000) / 20_000


async def test_streams_that_are_slowed_down_leave_room_for_others(tmp_path: Path) -> None:
    async with Platform(tmp_path, key_bytes_per_second=1_000_000) as client:
        begun = [
            asyncio.create_task(client("POST", f"{RECORDS}:bulk", [b""], [LINES], silent=True))
            for _ in range(8)
        ]
        await asyncio.sleep(0.05)
        refused = await client("POST", f"{RECORDS}:bulk", [b"{}"], [LINES])
        assert (refused.status, refused.json["violated-policies"]) == (429, ["streams"])
        for one in begun:
            one.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        last = await client("POST", f"{RECORDS}:bulk", [b'{"id":"a","data":{}}'], [LINES])
        assert last.lines[-1]["accepted"] == 1


class Exporting:
    """Stands in for the queries: five parts at once."""

    async def reach(self, *_: object) -> None:
        """There is nothing to wait for."""

    async def export(self, *_: object) -> AsyncGenerator[list[bytes], None]:
        for _part in range(5):
            yield [b"x" * 9_999]


async def test_an_export_goes_on_when_its_last_piece_is_paid(tmp_path: Path) -> None:
    platform = Platform(tmp_path, key_bytes_per_second=20_000)
    async with platform:
        client = Client(application_of(platform.house, query=Exporting()))
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await client("GET", f"{RECORDS}:export")
        taken = loop.time() - began
    assert len(found.body) >= 50_000
    # At once what a second brings, and the last part while it is still owed.
    assert taken >= (50_000 - 20_000 - 10_000) / 20_000


async def test_a_key_with_a_rate_of_its_own_is_held_to_it_and_no_other_is(tmp_path: Path) -> None:
    async with Platform(tmp_path) as client:
        asked = {
            "name": "slow",
            "scopes": [{"collections": "*", "verbs": ["read"]}],
            "rate": {"requests_per_second": 0.1},
        }
        made = await client("POST", "/v1/keys", json.dumps(asked).encode(), [JSON])
        assert (made.status, "ratelimit" in made.headers) == (201, False)
        slow = Client(client.application, made.json["key"])
        first = await slow("OPTIONS", RECORDS)
        assert (first.status, first.headers["ratelimit-policy"]) == (204, '"key";q=1;w=10')
        assert (await slow("OPTIONS", RECORDS)).status == 429
        assert (await slow("GET", RECORDS)).status == 429
        assert (await client("GET", RECORDS)).status == 200


async def test_the_keys_of_a_tenant_use_what_the_tenant_has(tmp_path: Path) -> None:
    async with Platform(tmp_path, tenant_requests_per_second=0.1) as client:
        asked = [await client("GET", "/v1/collections") for _ in range(2)]
        assert [one.status for one in asked] == [200, 429]
        assert asked[1].json["violated-policies"] == ["tenant"]
