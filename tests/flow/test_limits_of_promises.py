"""Where promises come to their limits: keys on lines, large answers, foreign logs, old receipts."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support.asking import Caller
from tests.support.clock import HandClock
from tests.support.house import House
from tests.support.roles import server_of
from tests.support.server import Server

from penstock.errors import Malformed
from penstock.records.schema import Schema

MEBIBYTE = 1024 * 1024


@pytest.fixture
def ask(server: Server) -> Caller:
    caller = Caller(server)
    caller.put("/v1/collections/c", {})
    return caller


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Caller]:
    """Of a server that has time for 40 MiB, however slow the machine."""
    server = server_of(tmp_path / "patient", PENSTOCK_DEADLINE_MS="20000")
    server.start()
    try:
        caller = Caller(server)
        caller.put("/v1/collections/c", {})
        yield caller
    finally:
        server.close()


def bulk(ask: Caller, *lines: object) -> str:
    """Writes lines, and waits until they are applied; returns the receipt."""
    done = ask.bulk("c", b"\n".join(json.dumps(line).encode() for line in lines)).lines[-1]
    assert done["done"] is True, done
    receipt = str(done["receipt"])
    until = time.monotonic() + 30
    while ask("GET", f"/v1/receipts/{receipt}").json["status"] == "durable":
        assert time.monotonic() < until
    return receipt


def test_a_line_with_a_key_of_its_own_has_one_effect_in_whatever_bulk_it_comes(ask: Caller) -> None:
    for n in range(3):
        bulk(ask, *[{"data": {"n": n}}] * n, {"data": {"order": 77}, "idempotency_key": "order-77"})
    found = ask("GET", "/v1/collections/c/records").json["records"]
    assert [one["data"] for one in found].count({"order": 77}) == 1
    assert len(found) == 1 + 1 + 2


def test_large_records_come_in_short_pages_that_miss_none(patient: Caller) -> None:
    pad = "x" * (MEBIBYTE - 1000)
    for part in range(5):
        bulk(patient, *[{"id": f"r{part}{n}", "data": {"pad": pad}} for n in range(8)])
    ids: list[str] = []
    token, sizes = "", []
    while True:
        page = patient("GET", f"/v1/collections/c/records?page_size=1000{token}")
        ids += [one["id"] for one in page.json["records"]]
        sizes.append(len(page.body))
        if "next_page_token" not in page.json:
            break
        token = f"&page_token={page.json['next_page_token']}"
    assert ids == [f"r{part}{n}" for part in range(5) for n in range(8)]
    assert max(sizes) < 20 * MEBIBYTE
    wanted = json.dumps({"ids": ids}).encode()
    many = patient(
        "POST", "/v1/collections/c/records:get", wanted, {"Content-Type": "application/json"}
    )
    assert (many.status, many.code) == (413, "answer_too_large")
    again = json.dumps({"ids": ["r00"] * 200 + ["r01"]}).encode()
    few = patient(
        "POST", "/v1/collections/c/records:get", again, {"Content-Type": "application/json"}
    )
    assert [one["id"] for one in few.json["records"]] == ["r00", "r01"]


def test_a_schema_that_doubles_itself_is_refused() -> None:
    doubling = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(33)}
    with pytest.raises(Malformed, match="With its references"):
        Schema({"$defs": {**doubling, "a33": {"type": "object"}}, "$ref": "#/$defs/a0"})
    chain = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(2_000)}
    with pytest.raises(Malformed):
        Schema({"$defs": {**chain, "a2000": {}}, "$ref": "#/$defs/a0"})


def test_a_schema_may_refer_to_itself_and_often_to_the_same() -> None:
    tree = Schema({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}, "type": "object"})
    tree.check({"left": {"left": {}}, "right": {}})
    shared = {"$defs": {"n": {"type": "number"}}}
    wide = Schema({**shared, "properties": {f"p{n}": {"$ref": "#/$defs/n"} for n in range(500)}})
    wide.check({f"p{n}": n for n in range(500)})


def test_a_log_that_the_worker_would_refuse_takes_no_write(server: Server) -> None:
    ask = Caller(server)
    ask.put("/v1/collections/c", {})
    assert ask.put("/v1/collections/c/records/r?ack=applied", {}).status == 201
    server.stop()
    for name in ("log.db", "log.db-wal", "log.db-shm"):
        (server.data / name).unlink(missing_ok=True)
    started = subprocess.run(
        [
            *(sys.executable, "-m", "penstock.cli", "serve", "--port", "0"),
            *("--data", str(server.data)),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (started.returncode, started.stdout) == (1, "")
    assert "penstock: Partition 0 of generation 1: the log is " in started.stderr
    assert "Traceback" not in started.stderr


def test_a_gzip_of_nothing_many_times_over_keeps_nobody_waiting(ask: Caller) -> None:
    body = gzip.compress(b"") * 50_000
    host, port = str(urlsplit(ask.server.url).hostname), urlsplit(ask.server.url).port
    with socket.create_connection((host, port), timeout=30) as connection:
        head = (
            f"PUT /v1/collections/c/records/r HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {Server.KEY}\r\nContent-Type: application/json\r\n"
            f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        assert ask("GET", "/livez").status == 200
        assert connection.recv(20).startswith(b"HTTP/1.1 400")


def test_pipelined_requests_with_large_bodies_are_all_answered(ask: Caller) -> None:
    host, port = str(urlsplit(ask.server.url).hostname), urlsplit(ask.server.url).port
    body = json.dumps({"pad": "x" * 40_000})
    one = (
        f"PUT /v1/collections/c/records/r HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {Server.KEY}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(one * 3 + one[:30])
        time.sleep(0.2)
        connection.sendall(one[30:])
        answers = b""
        while answers.count(b"HTTP/1.1 202") < 4:
            more = connection.recv(65_536)
            assert more, answers
            answers += more


async def test_an_old_receipt_is_not_answered_by_a_guess(tmp_path: Path) -> None:
    clock = HandClock()
    house = House(tmp_path / "data", clock)
    await house.start()
    try:
        target = await house.collection("c")
        receipts = []
        for write in (house.put("r"), house.put("r", if_absent=True)):
            accepted = await house.parts.ingest.write(target, write, house.deadline())
            receipt = house.parts.receipts.read(accepted.receipt, "default")
            assert await house.parts.query.settled(receipt, house.deadline()) is not None
            receipts.append(receipt)
        clock.advance(24 * 3_600_000 + 1)
        await house.engines.store.sweep(clock.now(), clock.now() - 24 * 3_600_000)
        first, second = [await house.parts.query.outcome(one, house.deadline()) for one in receipts]
        assert first is not None
        assert second is not None
        assert (str(first.result), str(second.result)) == ("applied", "rejected")
    finally:
        await house.stop()
