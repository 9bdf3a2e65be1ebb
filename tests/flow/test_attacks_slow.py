"""Attacks on our patience and our room: slow clients, and a great many of them."""

from __future__ import annotations

import itertools
import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.asking import Caller
from tests.support.raw import Raw, drip
from tests.support.server import Server

IDLE_S = 0.5
EVERY_S = 0.1
MOST_S = 15.0
"""After which patience had no end, however busy this machine is."""

AUTH = f"Authorization: Bearer {Server.KEY}\r\n".encode()
LIVE = b"GET /livez HTTP/1.1\r\nHost: h\r\n"
PUT = (
    b"PUT /v1/collections/c/records/slow HTTP/1.1\r\nHost: h\r\n"
    b"Content-Type: application/json\r\n" + AUTH
)
BULK = (
    b"POST /v1/collections/c/records:bulk HTTP/1.1\r\nHost: h\r\n"
    b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n" + AUTH
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("slow")
    one = Server(folder / "data", PENSTOCK_IDLE_MS=str(int(IDLE_S * 1000)))
    one.start()
    assert Caller(one).put("/v1/collections/c", {}).status == 201
    yield one
    one.stop()


def bytewise(text: bytes) -> Iterator[bytes]:
    """The bytes one by one, and then blanks for ever."""
    return itertools.chain((bytes([one]) for one in text), itertools.repeat(b" "))


CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
DRIPS = {
    "a head, by bytes": (b"", bytewise(LIVE)),
    "a head, by lines": (LIVE, (b"X-%d: y\r\n" % number for number in itertools.count())),
    "a body": (PUT + b"Content-Length: 1000000\r\n\r\n", bytewise(b'{"a":')),
    "chunks": (CHUNKED, itertools.repeat(b"1\r\n \r\n")),
    "the extension of a chunk": (CHUNKED + b"1;", itertools.repeat(b"a")),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", (b"X-%d: y\r\n" % n for n in itertools.count())),
    "the first line of a bulk": (BULK + b"\r\n", itertools.repeat(b"1\r\n \r\n")),
}


@pytest.mark.parametrize(("begun", "drops"), DRIPS.values(), ids=DRIPS)
def test_what_drips_is_408_however_busy_it_looks(
    server: Server, begun: bytes, drops: Iterator[bytes]
) -> None:
    with Raw(server.url) as raw:
        took = drip(raw.send(begun), drops, EVERY_S, MOST_S)
        (answer,) = raw.answers()
    assert (answer.status, answer.code) == (408, "request_timeout")
    assert answer.headers["connection"] == "close"
    assert IDLE_S - EVERY_S <= took < MOST_S
    assert Caller(server)("GET", "/v1/collections/c/records/slow").status == 404


@pytest.mark.parametrize("drop", [b" ", b"\n"], ids=["a line", "blank lines"])
def test_a_bulk_that_begins_to_drip_ends_and_its_earlier_lines_stand(
    server: Server, drop: bytes
) -> None:
    with Raw(server.url) as raw:
        raw.send(BULK + b'\r\n1a\r\n{"id":"first","data":{}}\n{\r\n')
        took = drip(raw, itertools.repeat(b"1\r\n%b\r\n" % drop), EVERY_S, MOST_S)
        (answer,) = raw.answers()
    first, *_, last = (json.loads(line) for line in answer.body.splitlines())
    assert (first["id"], first["status"]) == ("first", "durable")
    assert (last["done"], last["problem"]["code"]) == (False, "request_timeout")
    assert took < MOST_S


def test_a_stream_of_whole_lines_may_go_on_for_long(server: Server) -> None:
    lines = [b'{"id":"s%d","data":{}}\n' % number for number in range(10)]
    with Raw(server.url) as raw:
        raw.send(BULK + b"Connection: close\r\n\r\n")
        for line in lines:
            raw.send(b"%x\r\n%b\r\n" % (len(line), line))
            time.sleep(IDLE_S / 3)
        raw.send(b"0\r\n\r\n")
        (answer,) = raw.answers()
    assert json.loads(answer.body.splitlines()[-1])["accepted"] == len(lines)


def test_a_body_that_was_refused_is_not_read_away_for_ever(server: Server) -> None:
    with Raw(server.url) as raw:
        raw.send(PUT.replace(AUTH, b"") + b"Content-Length: 1000000\r\n\r\n")
        answer = raw.answer()
        assert answer is not None
        assert answer.status == 401
        began = time.monotonic()
        for _ in range(int(MOST_S / EVERY_S)):
            raw.send(b" ")
            time.sleep(EVERY_S)
            if time.monotonic() - began > IDLE_S * 2:
                break
        assert raw.answer() is None


def test_a_flood_of_pipelined_requests_ends_with_what_fits(server: Server) -> None:
    with Raw(server.url) as raw:
        answers = raw.send((LIVE + b"\r\n") * 20_000).answers()
    # One that is answered, and 128 that wait for it; as many again where it was answered meanwhile.
    assert len(answers) < 20_000
    assert {one.status for one in answers} <= {200}
    assert Raw(server.url).is_open()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_file_descriptors_it_waits_and_goes_on_when_there_are(server: Server) -> None:
    used = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    with Raw(server.url) as served:
        assert served.is_open()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 4, before[1]))
        with ExitStack() as stack:
            crowd = [stack.enter_context(Raw(server.url)) for _ in range(30)]
            spent = cpu_seconds(server.pid)
            time.sleep(IDLE_S / 2)
            assert cpu_seconds(server.pid) - spent < IDLE_S / 4
            assert served.is_open()
            assert "accept_failed" in server.log.read_text()
            # The silent ones are closed for their silence, and others let in.
            assert crowd[-1].is_open()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)
        assert Raw(server.url).is_open()
