"""The server holds out against clients that are broken, slow or hostile, byte by byte."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.asgi import application_of
from tests.support.house import KEY, House
from tests.support.running import Running, answers, only

from penstock.api.server import Server
from penstock.api.stall import StallWatch
from penstock.errors import ConfigurationError

AUTH = f"Authorization: Bearer {KEY}\r\n".encode()
PUT = b"PUT /v1/collections/c/records/a HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
GET = b"GET /v1/collections/c/records HTTP/1.1\r\nHost: h\r\n" + AUTH + b"\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: h\r\n"
IDLE_S = 0.5


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, idle_ms=int(IDLE_S * 1000), port=0, drain_ms=2000, max_body_bytes=2000)
    await house.start()
    await house.collection("c")
    yield house
    await house.stop()


@pytest.fixture
async def running(house: House) -> AsyncIterator[Running]:
    running = Running(application_of(house), house)
    yield running
    running.server.stop()
    await running.task


async def records_now(running: Running) -> list[Any]:
    received = await running.exchange(GET.replace(b"Host", b"Connection: close\r\nHost"))
    ((_, body),) = answers(received)
    found: list[Any] = body["records"]
    return found


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        LIVE + b"Bad Header: x\r\n\r\n",
        LIVE + b"X: a\x00b\r\n\r\n",
        PUT + AUTH + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        PUT + AUTH + b"Content-Length: -1\r\n\r\n{}",
        PUT + AUTH + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        PUT + AUTH + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        PUT + AUTH + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
        PUT + AUTH + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
        PUT + AUTH + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_400_and_the_connection_is_closed(
    running: Running, request_bytes: bytes
) -> None:
    assert only(await running.exchange(request_bytes)) == (400, "malformed_request")
    assert await records_now(running) == []


async def test_a_target_or_a_head_over_the_limit_is_refused(running: Running) -> None:
    long = b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\n\r\n"
    assert only(await running.exchange(long)) == (414, "uri_too_long")
    one = LIVE + b"X-Long: " + b"a" * 70_000
    assert only(await running.exchange(one)) == (431, "headers_too_large")
    many = LIVE + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 90) for n in range(800)) + b"\r\n"
    assert only(await running.exchange(many)) == (431, "headers_too_large")
    assert only(await running.exchange(many[:50_000], many[50_000:], pause_s=0.05)) == (
        431,
        "headers_too_large",
    )


async def test_a_large_head_within_the_limits_passes(running: Running) -> None:
    head = LIVE + b"Connection: close\r\nX-Long: " + b"a" * 60_000 + b"\r\n\r\n"
    assert only(await running.exchange(head)) == (200, "")


async def test_a_head_that_drips_is_408_however_busy_it_looks(running: Running) -> None:
    reader, writer = await running.connect()

    async def drip() -> None:
        writer.write(LIVE)
        for number in itertools.count():
            writer.write(b"X-%d: y\r\n" % number)
            await asyncio.sleep(IDLE_S / 5)

    dripping = asyncio.create_task(drip())
    answer = await asyncio.wait_for(reader.read(), 10)
    dripping.cancel()
    writer.close()
    assert only(answer) == (408, "request_timeout")


async def test_the_answer_reaches_a_client_that_is_still_sending(running: Running) -> None:
    flood = b"X: " + b"a" * 5_000_000
    assert only(await running.exchange(LIVE, flood)) == (431, "headers_too_large")


async def test_a_connection_on_which_nothing_comes_is_closed(running: Running) -> None:
    assert await running.exchange() == b""
    assert await running.exchange(b"\r\n") == b""


async def test_a_body_that_stays_away_is_408(running: Running) -> None:
    head = PUT + AUTH + b"Content-Length: 9\r\n\r\n"
    assert only(await running.exchange(head, b"{")) == (408, "request_timeout")


async def test_requests_sent_together_are_answered_in_order(running: Running) -> None:
    second = b"GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + AUTH + b"\r\n"
    received = await running.exchange(LIVE + b"\r\n" + GET + second)
    assert [status for status, _ in answers(received)] == [200, 200, 404]


async def test_what_follows_a_whole_request_cannot_take_its_answer(running: Running) -> None:
    whole = PUT + AUTH + b"Content-Length: 7\r\n\r\n" + b'{"a":1}'
    status, body = answers(await running.exchange(whole + b"\x00garbage"))[0]
    assert (status, body["status"]) == (202, "durable")


async def test_a_refused_body_is_read_away_and_the_connection_goes_on(running: Running) -> None:
    refused = PUT + AUTH + b"Content-Length: 3000\r\n\r\n"
    last = LIVE + b"Connection: close\r\n\r\n"
    received = await running.exchange(refused, b"x" * 3000, last, pause_s=0.05)
    assert [status for status, _ in answers(received)] == [413, 200]


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(running: Running) -> None:
    reader, writer = await running.connect()
    expect = b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    writer.write(PUT + AUTH + expect)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert only(await reader.read()) == (202, "")
    writer.close()


@pytest.mark.parametrize(
    "framed",
    [b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
)
@pytest.mark.parametrize("pieces", [1, 2, 7])
async def test_an_upgrade_is_not_taken_and_the_request_answered_as_it_is(
    running: Running, framed: bytes, pieces: int
) -> None:
    ask = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    sent = PUT + AUTH + ask + framed + LIVE + ask + b"\r\n"
    sent += LIVE + b"Connection: close\r\n\r\n"
    size = -(-len(sent) // pieces)
    parts = [sent[start : start + size] for start in range(0, len(sent), size)]
    first, *others = answers(await running.exchange(*parts, pause_s=0.02))
    assert (first[0], first[1]["id"]) == (202, "a")
    assert [status for status, _ in others] == [200, 200]


async def test_a_method_that_nobody_knows_is_405_with_those_that_are(running: Running) -> None:
    for request, allowed in (
        (b"BREW /livez HTTP/1.1\r\nHost: h\r\n\r\n", b"GET, HEAD, OPTIONS"),
        (b"\r\nBREW /pot?x HTTP/1.1\r\n", b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        (
            b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        ),
    ):
        received = await running.exchange(request)
        assert only(received) == (405, "method_not_allowed")
        assert b"\r\nallow: " + allowed + b"\r\n" in received


async def test_http_1_0_is_not_told_to_continue(running: Running) -> None:
    old = PUT.replace(b"HTTP/1.1", b"HTTP/1.0") + AUTH
    head = old + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert only(await running.exchange(head, b"{}", pause_s=0.05)) == (202, "")


async def test_to_http_1_0_a_stream_ends_with_the_connection(running: Running) -> None:
    export = GET.replace(b"records", b"records:export").replace(b"HTTP/1.1", b"HTTP/1.0")
    kept = export.replace(b"Host", b"Connection: keep-alive\r\nHost")
    head, _, body = (await running.exchange(kept)).partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert b"transfer-encoding" not in head
    assert json.loads(body.splitlines()[-1])["done"] is True


async def test_a_client_that_stops_within_a_request_and_closes_its_half_is_gone(
    running: Running,
) -> None:
    for begun in (LIVE, PUT + AUTH + b"Content-Length: 2\r\n\r\n{"):
        reader, writer = await running.connect()
        writer.write(begun)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
    assert await records_now(running) == []


class Unread:
    """A transport of which so many bytes are read in each spell."""

    def __init__(self, size: int, *read: int) -> None:
        self.sizes = [size]
        for one in read:
            self.sizes.append(self.sizes[-1] - one)
        self.aborted_at: int | None = None

    def get_write_buffer_size(self) -> int:
        return self.sizes.pop(0) if len(self.sizes) > 1 else self.sizes[0]

    def abort(self) -> None:
        self.aborted_at = self.sizes[0]


@pytest.mark.parametrize(
    ("read", "aborted"),
    [
        ([0], True),
        ([100, 100], True),
        ([500, 100], True),
        ([500, 500, 500], False),
        ([1_000_000 - 300, 300], False),
    ],
)
async def test_a_client_that_reads_too_little_is_dropped(read: list[int], aborted: bool) -> None:
    transport = Unread(1_000_000, *read)
    watch = StallWatch(cast("asyncio.Transport", transport), 0.1)
    watch.begin()
    await asyncio.sleep(0.1 * len(read) + 0.05)
    watch.end()
    assert (transport.aborted_at is not None) == aborted


async def test_a_client_that_does_not_read_is_dropped(house: House) -> None:
    target = await house.collection("c")
    bulk = house.parts.ingest.bulk(target, None)

    async def lines() -> AsyncIterator[list[bytes]]:
        for _ in range(40):
            yield [b'{"data":{"a":"%b"}}' % (b"x" * 500_000)]

    async for _ in bulk.run(lines()):
        pass
    receipt = bulk.summary.receipt
    assert receipt is not None
    running = Running(application_of(house), house)
    reader, writer = await running.connect(limit=1024)
    writer.write(GET[:-2] + b"Penstock-Receipt: " + receipt.encode() + b"\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    connections = running.server._uvicorn.server_state.connections
    async with asyncio.timeout(10):
        while connections:  # noqa: ASYNC110  # because uvicorn tells no one
            await asyncio.sleep(0.02)
    writer.close()
    running.server.stop()
    await running.task


async def test_a_stop_finishes_what_is_under_way_and_closes_the_rest(house: House) -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    ingest = house.parts.ingest

    class Slow:
        async def write(self, *given: Any) -> Any:
            begun.set()
            await release.wait()
            return await ingest.write(*given)

    running = Running(application_of(house, ingest=Slow()), house)
    idle_reader, idle_writer = await running.connect()
    reader, writer = await running.connect()
    writer.write(PUT + AUTH + b"Content-Length: 2\r\n\r\n{}")
    await begun.wait()
    running.server.stop()
    assert await idle_reader.read() == b""
    release.set()
    assert only(await reader.read()) == (202, "")
    await running.task
    for one in (idle_writer, writer):
        one.close()


async def test_before_it_leaves_it_says_so_and_serves_on_closing_behind_each_answer(
    house: House,
) -> None:
    async def ready() -> str | None:
        return "leaving" if leaves.server.leaving.begun else None

    house.configuration = house.configuration.model_copy(update={"drain_grace_ms": 700})
    leaves = Running(application_of(house, ready=ready), house)
    reader, writer = await leaves.connect()
    writer.write(LIVE + b"\r\n")
    assert b"connection: close" not in await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(len(b'{"status":"ok"}'))
    leaves.server.stop()
    await asyncio.sleep(0.3)
    received = await leaves.exchange(b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 503 ")
    writer.write(GET)
    received = await reader.read()
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in received
    await asyncio.wait_for(leaves.task, 10)
    with pytest.raises(ConnectionRefusedError):
        await leaves.connect()
    writer.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_server_and_not_the_process(
    house: House, number: signal.Signals
) -> None:
    running = Running(application_of(house), house)
    await running.url
    os.kill(os.getpid(), number)
    await asyncio.wait_for(running.task, 10)


async def test_a_port_that_is_taken_is_an_error_of_configuration(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configuration = house.configuration.model_copy(update={"port": port})
        server = Server(application_of(house), configuration)
        with pytest.raises(ConfigurationError, match=f"127.0.0.1, port {port}: Address already"):
            await server.run(lambda _url: None)
