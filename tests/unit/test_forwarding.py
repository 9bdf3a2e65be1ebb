"""Passing on, and what becomes of it when those behind are gone, slow, or leave in the midst."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.asgi import Client
from tests.support.house import ADMIN, House
from tests.support.servers.certificates import Authority
from tests.support.upstreams import (
    Running,
    Scripted,
    close,
    half,
    hang,
    header,
    passing_on,
    saying,
    service_of,
    vouchers_of,
)

from penstock.access.access import Access
from penstock.api.forward import Forwarding
from penstock.api.route import Role

RECORDS = "/v1/collections/c/records"
JSON = [("content-type", "application/json")]
LINES = [("content-type", "application/x-ndjson")]
FOUND = b'HTTP/1.1 200 OK\r\ncontent-length: 8\r\netag: "v"\r\n\r\n{"id":1}'
TAKEN = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, deadline_ms=2000, idle_ms=2000)
    await house.start()
    await house.collection("c")
    yield house
    await house.stop()


@asynccontextmanager
async def scripted(*behaviours: Any) -> AsyncIterator[list[Scripted]]:
    some = [Scripted(one) for one in behaviours]
    for one in some:
        await one.start()
    try:
        yield some
    finally:
        for one in some:
            await one.stop()


@asynccontextmanager
async def api(
    house: House, *, ingest: Sequence[int] = (), query: Sequence[int] = ()
) -> AsyncIterator[tuple[Client, Forwarding]]:
    ports = {role: some for role, some in ((Role.INGEST, ingest), (Role.QUERY, query)) if some}
    application, forwarding = await passing_on(house, ports)
    try:
        yield Client(application), forwarding
    finally:
        await forwarding.close()


@asynccontextmanager
async def services(house: House) -> AsyncIterator[Client]:
    """An API process, and behind it an ingest and a query service."""
    ingest = Running(service_of(house, Role.INGEST), house)
    query = Running(service_of(house, Role.QUERY), house)
    ports = {Role.INGEST: [await ingest.port()], Role.QUERY: [await query.port()]}
    application, forwarding = await passing_on(house, ports)
    try:
        yield Client(application)
    finally:
        await forwarding.close()
        await ingest.stop()
        await query.stop()


async def test_writes_go_to_ingest_and_reads_to_query_and_both_are_answered_as_ever(
    house: House,
) -> None:
    async with services(house) as client:
        put = await client("PUT", f"{RECORDS}/a?ack=applied", b'{"n":1}', JSON)
        assert (put.status, put.json["status"]) == (201, "applied")
        got = await client("GET", f"{RECORDS}/a")
        assert (got.status, got.json["data"]) == (200, {"n": 1})
        assert got.headers["etag"] == put.headers["etag"]
        assert got.headers["x-request-id"]
        assert "x-content-type-options" not in got.headers, "the server itself says so, once"
        head = await client("HEAD", f"{RECORDS}/a")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(got.body))
        same = await client("GET", f"{RECORDS}/a", headers=[("if-none-match", got.headers["etag"])])
        assert same.status == 304
        assert (await client("GET", f"{RECORDS}?page_size=1")).json["records"] == [got.json]
        status = await client("GET", f"/v1/receipts/{put.json['receipt']}")
        assert status.json["status"] == "applied"
        gone = await client("DELETE", f"{RECORDS}/a?ack=applied")
        assert gone.status == 200
        assert (await client("GET", f"{RECORDS}/a")).status == 404


async def test_a_bulk_streams_both_ways_and_an_export_streams_back(house: House) -> None:
    async with services(house) as client:
        lines = [b'{"id":"%d","data":{}}\n' % number for number in range(1000)]
        bulk = await client("POST", f"{RECORDS}:bulk", [b"".join(lines[:500]), *lines[500:]], LINES)
        assert bulk.status == 200
        assert [one["id"] for one in bulk.lines[:-1]] == [str(number) for number in range(1000)]
        last = bulk.lines[-1]
        assert (last["done"], last["accepted"]) == (True, 1000)
        export = await client(
            "GET", f"{RECORDS}:export", headers=[("penstock-receipt", last["receipt"])]
        )
        assert export.lines[-1] == {"count": 1000, "done": True}
        bad = await client("POST", f"{RECORDS}:bulk", b"x", [("content-type", "text/plain")])
        assert (bad.status, bad.json["code"]) == (415, "unsupported_media_type")


async def test_a_bulk_that_its_quota_slows_down_does_not_look_silent_to_the_service(
    tmp_path: Path,
) -> None:
    house = House(
        tmp_path,
        idle_ms=1000,
        key_bytes_per_second=10_000,
        max_body_bytes=10_000,
        max_line_bytes=10_000,
    )
    await house.start()
    await house.collection("c")
    lines = [b'{"id":"%d","data":{"a":"%b"}}\n' % (number, b"x" * 970) for number in range(31)]
    try:
        async with services(house) as client:
            pieces = [b"".join(lines[:30]), lines[30]]
            bulk = await client("POST", f"{RECORDS}:bulk", pieces, LINES)
            assert (bulk.status, bulk.lines[-1]["accepted"]) == (200, 31)
    finally:
        await house.stop()


async def test_a_service_with_a_certificate_is_asked_over_tls_by_who_trusts_it(
    house: House, tmp_path: Path
) -> None:
    ours, others = (Authority(tmp_path / "certificates", name) for name in ("ours", "others"))
    certificate = ours.issue("server", "test")
    house.configuration = house.configuration.model_copy(update={"tls_cert": certificate})
    service = Running(service_of(house, Role.QUERY), house)
    port = await service.port()
    for authority, get, export in ((ours, 404, 200), (others, 503, 503)):
        tls = ssl.create_default_context(cafile=str(authority.path))
        application, forwarding = await passing_on(house, {Role.QUERY: [port]}, tls)
        client = Client(application)
        assert (await client("GET", f"{RECORDS}/none")).status == get
        assert (await client("GET", f"{RECORDS}:export")).status == export
        await forwarding.close()
    await service.stop()


async def test_a_service_takes_vouchers_and_no_keys(house: House) -> None:
    principal = ADMIN
    target = f"{RECORDS}/a"
    vouchers = vouchers_of(house)
    good = vouchers.sign(principal, f"GET {target}".encode(), None, None)
    client = Client(service_of(house, Role.QUERY))

    async def status(*headers: tuple[str, str], method: str = "GET", where: str = target) -> int:
        return (await client(method, where, headers=headers)).status

    assert await status() == 401, "a key does not count"
    assert await status(("penstock-principal", good)) == 404
    assert await status(("penstock-principal", good), where=f"{RECORDS}/b") == 401
    assert await status(("penstock-principal", good), where=f"{target}?x=1") == 401
    assert await status(("penstock-principal", good[:-2])) == 401
    assert await status(("penstock-principal", "")) == 401
    assert await status(("penstock-principal", "\x00\xff")) == 401


async def test_a_service_has_the_routes_of_its_role_only(house: House) -> None:
    principal = ADMIN
    vouchers = vouchers_of(house)

    async def status(role: Role, method: str, target: str) -> int:
        voucher = vouchers.sign(principal, f"{method} {target}".encode(), None, None)
        client = Client(service_of(house, role))
        headers = [("penstock-principal", voucher), *JSON]
        return (await client(method, target, b"{}", headers)).status

    assert await status(Role.INGEST, "PUT", f"{RECORDS}/a") == 202
    assert await status(Role.QUERY, "PUT", f"{RECORDS}/a") == 405
    assert await status(Role.INGEST, "GET", f"{RECORDS}/a") == 405
    for role in (Role.INGEST, Role.QUERY):
        assert await status(role, "GET", "/v1/collections") == 404
        assert await status(role, "PUT", "/v1/collections/d") == 404
        assert await status(role, "GET", "/v1/dead-letters") == 404


async def test_what_a_client_says_of_itself_stays_here(house: House) -> None:
    async with scripted(saying(FOUND)) as (one,), api(house, query=[one.port]) as (client, _):
        given = [
            ("penstock-principal", "forged"),
            ("penstock-timeout", "1500"),
            ("x-request-id", "mine-1"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("connection", "keep-alive, x-secret"),
            ("x-secret", "s"),
            ("cookie", "c"),
        ]
        assert (await client("GET", f"{RECORDS}/a", headers=given)).status == 200
        (head,) = one.heads
        principal = header(head, b"penstock-principal")
        assert principal is not None
        voucher = vouchers_of(house).read(principal.decode(), f"GET {RECORDS}/a".encode())
        assert voucher.principal.tenant == "default"
        assert header(head, b"x-request-id") == b"mine-1"
        assert header(head, b"traceparent") == given[3][1].encode()
        assert 1 < int(header(head, b"penstock-timeout") or b"0") <= 1500
        assert b"forged" not in head
        for name in (b"authorization", b"x-secret", b"cookie", b"connection"):
            assert header(head, name) is None


@pytest.mark.parametrize("fault", [close, half])
async def test_a_read_whose_service_dies_is_answered_by_another(house: House, fault: Any) -> None:
    async with (
        scripted(fault, saying(FOUND)) as some,
        api(house, query=[one.port for one in some]) as (client, _),
    ):
        for _ in range(10):
            assert (await client("GET", f"{RECORDS}/a")).json == {"id": 1}
        assert some[0].heads, "it was asked, and the client has not noticed"


async def test_a_write_is_sent_again_as_the_same_operation(house: House) -> None:
    async with (
        scripted(close, saying(TAKEN)) as some,
        api(house, ingest=[one.port for one in some]) as (client, _),
    ):
        while not some[0].heads:
            assert (await client("POST", RECORDS, b"{}", JSON)).status == 202
        vouchers = vouchers_of(house)
        births = [
            vouchers.read(
                (header(head, b"penstock-principal") or b"").decode(), b"POST " + RECORDS.encode()
            ).birth
            for head in (some[0].heads[0], some[1].heads[-1])
        ]
        assert births[0] == births[1]
        assert births[0] is not None
        assert births[0].record_id


async def test_a_write_that_nobody_answered_is_not_denied(house: House) -> None:
    async with scripted(close) as (one,), api(house, ingest=[one.port]) as (client, _):
        reply = await client("PUT", f"{RECORDS}/a", b"{}", JSON)
        assert (reply.status, reply.json["code"]) == (503, "outcome_unknown")
        assert len(one.heads) > 1


async def test_where_nobody_is_nothing_was_written(house: House) -> None:
    async with (
        scripted(close, close) as (one, two),
        api(house, ingest=[one.port], query=[two.port]) as (client, _),
    ):
        await one.stop()
        await two.stop()
        put = await client("PUT", f"{RECORDS}/a", b"{}", JSON)
        assert (put.status, put.json["code"]) == (503, "log_unavailable")
        bulk = await client("POST", f"{RECORDS}:bulk", b'{"data":{}}', LINES)
        assert (bulk.status, bulk.json["code"]) == (503, "log_unavailable")
        get = await client("GET", f"{RECORDS}/a")
        assert (get.status, get.json["code"]) == (503, "store_unavailable")
        export = await client("GET", f"{RECORDS}:export")
        assert (export.status, export.json["code"]) == (503, "store_unavailable")
        assert {one.headers["retry-after"] for one in (put, bulk, get, export)} == {"1"}


async def test_a_service_that_refuses_our_voucher_is_no_fault_of_the_clients(house: House) -> None:
    refused = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}"
    async with scripted(saying(refused)) as (one,), api(house, query=[one.port]) as (client, _):
        reply = await client("GET", f"{RECORDS}/a")
        assert (reply.status, reply.json["code"]) == (500, "internal")
        export = await client("GET", f"{RECORDS}:export")
        assert (export.status, export.json["code"]) == (500, "internal")


async def test_a_kept_connection_that_was_closed_meanwhile_costs_nothing(house: House) -> None:
    answers = [FOUND]

    async def once(reader: Any, writer: Any, head: bytes) -> None:
        if answers:
            writer.write(answers.pop())
        else:
            answers.append(FOUND)
            writer.close()

    async with scripted(once) as (one,), api(house, query=[one.port]) as (client, _):
        for _ in range(4):
            assert (await client("GET", f"{RECORDS}/a")).status == 200
        assert one.connections == 4


async def test_one_that_leaves_is_asked_no_more(house: House) -> None:
    leaving = FOUND.replace(b"etag", b"connection: close\r\netag")
    async with (
        scripted(saying(leaving), saying(FOUND)) as some,
        api(house, query=[one.port for one in some]) as (client, _),
    ):
        while not some[0].heads:
            await client("GET", f"{RECORDS}/a")
        for _ in range(10):
            assert (await client("GET", f"{RECORDS}/a")).status == 200
        assert len(some[0].heads) == 1


async def test_a_slow_read_is_asked_of_another_and_the_first_answer_counts(house: House) -> None:
    async with (
        scripted(hang, saying(FOUND)) as some,
        api(house, query=[one.port for one in some]) as (client, _),
    ):
        loop = asyncio.get_running_loop()
        begin = loop.time()
        replies = await asyncio.gather(*(client("GET", f"{RECORDS}/{n}") for n in range(20)))
        assert {one.status for one in replies} == {200}
        assert loop.time() - begin < 1.0, "the deadline is two seconds"
        assert some[0].heads
        # By then it has lost so often that it is left alone.
        asked = len(some[0].heads)
        for _ in range(20):
            assert (await client("GET", f"{RECORDS}/a")).status == 200
        assert len(some[0].heads) == asked


async def test_a_write_on_its_way_at_the_deadline_is_not_denied(house: House) -> None:
    async with scripted(hang) as (one,), api(house, ingest=[one.port]) as (client, _):
        reply = await client("PUT", f"{RECORDS}/a", b"{}", JSON)
        assert (reply.status, reply.json["code"]) == (503, "outcome_unknown")


async def test_a_bulk_that_breaks_ends_with_what_is_known(house: House) -> None:
    line = b'{"index":0,"id":"a","status":"durable"}\n'

    async def breaks(reader: Any, writer: Any, head: bytes) -> None:
        begun = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        piece = line + b'{"index":1,"prob'
        writer.write(begun + b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
        writer.close()

    async with scripted(breaks) as (one,), api(house, ingest=[one.port]) as (client, _):
        reply = await client("POST", f"{RECORDS}:bulk", b'{"id":"a","data":{}}\n{}\n', LINES)
        assert reply.status == 200
        assert reply.complete
        assert reply.lines[0] == json.loads(line)
        (_, last) = reply.lines
        assert (last["done"], last["accepted"], last["refused"]) == (False, 1, 0)
        assert last["problem"]["code"] == "outcome_unknown"
        assert len(one.heads) == 1, "it is not sent again"


async def test_a_bulk_that_breaks_before_its_first_result_may_be_durable(house: House) -> None:
    async with scripted(close) as (one,), api(house, ingest=[one.port]) as (client, _):
        reply = await client("POST", f"{RECORDS}:bulk", b'{"id":"a","data":{}}', LINES)
        assert (reply.status, reply.json["code"]) == (503, "outcome_unknown")
        assert len(one.heads) == 1


async def test_an_export_that_breaks_says_so_and_one_that_has_not_begun_begins_elsewhere(
    house: House,
) -> None:
    async def breaks(reader: Any, writer: Any, head: bytes) -> None:
        begun = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(begun + b'b\r\n{"id":"a"}\n\r\n')
        await writer.drain()
        writer.close()

    async with (
        scripted(close, breaks) as some,
        api(house, query=[one.port for one in some]) as (client, _),
    ):
        while not some[0].heads:
            reply = await client("GET", f"{RECORDS}:export")
            first, last = reply.lines
            assert first == {"id": "a"}
            assert (last["done"], last["count"]) == (False, 1)
            assert last["problem"]["code"] == "store_unavailable"


async def test_a_stream_from_one_that_answers_nothing_any_more_is_broken_off(house: House) -> None:
    async def stalls(reader: Any, writer: Any, head: bytes) -> None:
        begun = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(begun + b'b\r\n{"id":"a"}\n\r\n')
        one._server.close()
        await asyncio.Event().wait()

    async with scripted(stalls) as (one,), api(house, query=[one.port]) as (client, _):
        async with asyncio.timeout(10):
            reply = await client("GET", f"{RECORDS}:export")
        assert reply.lines[-1]["problem"]["code"] == "store_unavailable"


async def test_a_bulk_whose_client_is_gone_is_given_up_behind_us_too(house: House) -> None:
    ended = asyncio.Event()

    async def waits(reader: Any, writer: Any, head: bytes) -> None:
        while await reader.read(1000):
            pass
        ended.set()
        writer.close()

    async with scripted(waits) as (one,), api(house, ingest=[one.port]) as (client, _):
        before = len(asyncio.all_tasks())
        reply = await client("POST", f"{RECORDS}:bulk", [b"{}\n"], LINES, stays=False)
        assert not reply.complete
        await asyncio.wait_for(ended.wait(), 5)
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) <= before


async def test_another_process_has_not_seen_a_change_that_we_have(house: House) -> None:
    """A service that knows a collection as it was asks again, where we know better."""
    behind = House(house.configuration.data.with_name("behind"))
    behind.engines = house.engines
    behind.parts = house.parts._replace(
        access=Access(house.parts.authentication, house.engines.catalog, house.engines.clock)
    )
    service = Running(service_of(behind, Role.INGEST), house)
    application, forwarding = await passing_on(house, {Role.INGEST: [await service.port()]})
    client = Client(application)
    try:
        assert (await client("PUT", f"{RECORDS}/a", b'{"n":"x"}', JSON)).status == 202
        settings = b'{"schema":{"properties":{"n":{"type":"number"}}}}'
        assert (await client("PUT", "/v1/collections/c", settings, JSON)).status == 200
        reply = await client("PUT", f"{RECORDS}/a", b'{"n":"x"}', JSON)
        assert (reply.status, reply.json["code"]) == (422, "schema_violation")
    finally:
        await forwarding.close()
        await service.stop()
