"""A server with no room left: who is turned away, with what, and what that does not touch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.support.asgi import application_of
from tests.support.house import KEY, House

from penstock.api.admission import Budget
from penstock.api.app import Application
from penstock.api.server import Server

KIB = 1024
AUTH = f"Authorization: Bearer {KEY}\r\n"
RECORD = "/v1/collections/c/records/a"


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str:
        return str(self.body.get("code", ""))


class Client:
    """One kept connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def reply(self) -> Reply:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
        body = await self._reader.readexactly(int(headers["content-length"]))
        return Reply(int(head[0].split()[1]), headers, json.loads(body))

    async def __call__(self, method: str, path: str, body: bytes = b"", more: str = AUTH) -> Reply:
        self.writer.write(request(method, path, body, more))
        return await asyncio.wait_for(self.reply(), 10)


def request(method: str, path: str, body: bytes = b"", more: str = AUTH) -> bytes:
    size = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: h\r\n{more}{size}\r\n".encode() + body


class Crowded:
    """A server on a house, whose limits a test may use up."""

    def __init__(self, house: House, application: Application) -> None:
        self.house = house
        self.gate = application.gate
        self.server = Server(application, house.configuration)
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self.server.run(self.url.set_result))
        self._clients: list[Client] = []

    def fill(self, *budgets: Budget) -> None:
        """As if so many requests were in hand that no more fit."""
        for budget in budgets:
            limit = self.gate.limits[budget]
            while limit.enter():
                pass
            limit.refused = 0

    def empty(self) -> None:
        for limit in self.gate.limits.values():
            while limit.in_hand:
                limit.ended(None)

    async def client(self) -> Client:
        host, port = (await self.url).removeprefix("http://").split(":")
        client = Client(*await asyncio.open_connection(host, int(port)))
        self._clients.append(client)
        return client

    async def stop(self) -> None:
        self.empty()
        for client in self._clients:
            client.writer.close()
        self.server.stop()
        await self.task

    async def entries(self) -> int:
        bounds = await self.house.engines.log.bounds()
        return sum(one.end - one.start for one in bounds.values())


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[Crowded]:
    house = House(folder, port=0, drain_ms=2000, **settings)
    await house.start()
    await house.collection("c")
    crowded = Crowded(house, application_of(house))
    try:
        yield crowded
    finally:
        await crowded.stop()
        await house.stop()


@pytest.fixture
async def crowded(tmp_path: Path) -> AsyncIterator[Crowded]:
    async with serving(tmp_path) as one:
        yield one


def check(reply: Reply) -> None:
    """It is a refusal as it has to be."""
    assert (reply.status, reply.code) == (503, "overloaded")
    assert reply.body["retryable"] is True
    assert reply.headers["retry-after"] in ("1", "2", "3")
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-request-id"] == reply.body["request_id"]
    assert "date" in reply.headers


async def test_what_there_is_no_room_for_is_told_so_and_touches_nothing(crowded: Crowded) -> None:
    client = await crowded.client()
    assert (await client("PUT", RECORD, b'{"n":1}')).status == 202
    crowded.fill(Budget.WRITE)
    for method, path in (("PUT", RECORD), ("PATCH", RECORD), ("POST", RECORD.rpartition("/")[0])):
        check(await client(method, path, b'{"n":2}'))
    check(await client("DELETE", RECORD))
    assert await crowded.entries() == 1
    assert crowded.gate.limits[Budget.WRITE].refused == 4
    crowded.empty()
    assert (await client("PUT", RECORD, b'{"n":3}')).status == 202


async def test_it_is_told_before_the_key_is_looked_at_or_the_body_is_there(
    crowded: Crowded,
) -> None:
    client = await crowded.client()
    crowded.fill(Budget.WRITE)
    check(await client("PUT", RECORD, b"no JSON", more="Authorization: Bearer wrong\r\n"))
    client.writer.write(request("PUT", RECORD, b"x" * 1000)[:-999])
    check(await client.reply())
    # The rest of that body is read away, and the connection goes on.
    client.writer.write(b"x" * 999)
    assert (await client("GET", "/livez")).status == 200


async def test_a_body_that_is_held_back_will_not_be_asked_for(crowded: Crowded) -> None:
    client = await crowded.client()
    crowded.fill(Budget.WRITE)
    more = f"{AUTH}Expect: 100-continue\r\n"
    client.writer.write(request("PUT", RECORD, b"{}", more)[:-2])
    reply = await client.reply()
    check(reply)
    assert reply.headers["connection"] == "close"


async def test_each_kind_has_a_budget_of_its_own_and_health_is_always_served(
    crowded: Crowded,
) -> None:
    client = await crowded.client()
    asked = {
        Budget.READ: ("GET", RECORD, b""),
        Budget.WRITE: ("PUT", RECORD, b"{}"),
        Budget.QUERY: ("GET", "/v1/collections/c/records", b""),
        Budget.STREAM: ("POST", "/v1/collections/c/records:bulk", b"{}"),
    }
    for full in asked:
        crowded.fill(full)
        for budget, (method, path, body) in asked.items():
            reply = await client(method, path, body)
            if budget is full:
                check(reply)
            else:
                assert reply.status in (200, 202, 404, 415)
        crowded.empty()
    crowded.fill(*asked)
    for path in ("/livez", "/readyz"):
        assert (await client("GET", path)).body == {"status": "ok"}


async def test_the_short_way_and_the_long_way_answer_the_same(crowded: Crowded) -> None:
    client = await crowded.client()
    crowded.fill(Budget.READ)
    own = "X-Request-Id: mine\r\n"
    short = await client("GET", RECORD, more=own)
    long = await client("GET", RECORD, more=f"{own}TE: trailers\r\nConnection: TE\r\n")
    assert crowded.gate.short.turned_away == 1
    for reply in (short, long):
        assert (reply.headers["x-request-id"], reply.body["request_id"]) == ("mine", "mine")
    differ = ("date", "retry-after")
    assert {name: short.headers[name] for name in short.headers if name not in differ} == {
        name: long.headers[name] for name in long.headers if name not in differ
    }
    assert short.body == long.body


async def test_a_flood_is_answered_one_way_or_the_other_and_its_connections_go_on(
    crowded: Crowded,
) -> None:
    clients = [await crowded.client() for _ in range(700)]
    crowded.fill(Budget.READ)
    for client in clients:
        client.writer.write(request("GET", RECORD))
    first = await clients[0].reply()
    crowded.empty()
    codes = [first.code, *[(await client.reply()).code for client in clients[1:]]]
    assert set(codes) <= {"overloaded", "record_not_found"}
    assert codes.count("overloaded") == crowded.gate.limits[Budget.READ].refused
    for client in clients:
        assert (await client("GET", RECORD)).code == "record_not_found"


async def test_those_who_are_turned_away_together_come_back_apart(crowded: Crowded) -> None:
    client = await crowded.client()
    crowded.fill(Budget.READ)
    replies = [await client("GET", RECORD) for _ in range(30)]
    pauses = [one.headers["retry-after"] for one in replies]
    assert {one: pauses.count(one) for one in "123"} == {"1": 10, "2": 10, "3": 10}
    assert len({one.headers["x-request-id"] for one in replies}) == 30


async def test_pipelined_requests_are_answered_in_order_whoever_is_turned_away(
    crowded: Crowded,
) -> None:
    client = await crowded.client()
    crowded.fill(Budget.WRITE)
    pieces = [request("PUT", RECORD, b"{}"), request("GET", "/livez"), request("GET", RECORD)]
    client.writer.write(b"".join(pieces * 20))
    for _ in range(20):
        check(await client.reply())
        assert (await client.reply()).body == {"status": "ok"}
        assert (await client.reply()).code == "record_not_found"


async def test_bodies_in_hand_have_a_bound_in_bytes(tmp_path: Path) -> None:
    most = 256 * KIB
    async with serving(tmp_path, ingest_bytes=most, max_body_bytes=100 * KIB) as crowded:
        body = b'{"a":"' + b"x" * (90 * KIB) + b'"}'
        slow = [await crowded.client() for _ in range(3)]
        for client in slow:
            client.writer.write(request("PUT", RECORD, body)[:-10])
        check(await slow[2].reply())
        assert 2 * 90 * KIB < crowded.gate.holding.used <= most
        # What is small still fits, and so do those that were let in.
        assert (await (await crowded.client())("PUT", RECORD, b"{}")).status == 202
        for client in slow[:2]:
            client.writer.write(body[-10:])
            assert (await client.reply()).status == 202
        assert crowded.gate.holding.used == 0


async def test_what_was_not_declared_counts_as_it_comes(tmp_path: Path) -> None:
    async with serving(tmp_path, ingest_bytes=300 * KIB, max_body_bytes=300 * KIB) as crowded:
        client = await crowded.client()
        more = f"{AUTH}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        client.writer.write(request("PUT", RECORD, more=more))
        client.writer.write(b"%x\r\n%b\r\n" % (100 * KIB, b'{"a":"' + b"x" * (100 * KIB - 6)))
        # 256 KiB for what may come at once, and 100 that did.
        check(await client.reply())
        client.writer.close()
        async with asyncio.timeout(5):
            while crowded.gate.holding.used:  # noqa: ASYNC110  # it tells no one
                await asyncio.sleep(0.01)


async def test_bulks_wait_for_room_and_hold_no_more_than_there_is(tmp_path: Path) -> None:
    most = 400 * KIB
    async with serving(tmp_path, ingest_bytes=most, max_body_bytes=100 * KIB) as crowded:
        lines = b"".join(b'{"data":{"n":%d,"x":"%b"}}\n' % (n, b"x" * 200) for n in range(2_000))
        peak = 0

        async def watch() -> None:
            nonlocal peak
            while True:
                peak = max(peak, crowded.gate.holding.used)
                await asyncio.sleep(0)

        async def bulk() -> int:
            client = await crowded.client()
            more = f"{AUTH}Content-Type: application/x-ndjson\r\nConnection: close\r\n"
            more += f"Content-Length: {len(lines)}\r\n"
            client.writer.write(request("POST", f"{RECORD.rpartition('/')[0]}:bulk", more=more))
            client.writer.write(lines)
            received = b"".join([piece async for piece in client._reader])
            return received.count(b'"status":"durable"')

        watching = asyncio.create_task(watch())
        assert await asyncio.gather(*(bulk() for _ in range(6))) == [2_000] * 6
        watching.cancel()
        # Each of the pieces is larger than what streams may fill: they came one at a time.
        assert most < peak < most + 6 * 256 * KIB + 2_000 * 512
        assert crowded.gate.holding.used == 0
