"""Attacks by what is sent: bombs, forged log lines, spoofed proxies, fields that are ours."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.support.asking import Caller
from tests.support.raw import Raw
from tests.support.server import Server

MIB = 1024 * 1024
JSON = {"Content-Type": "application/json"}
RECORDS = "/v1/collections/c/records"
PROXY, STRANGER = "127.0.0.2", "127.0.0.3"
OURS = ("_id", "id", "fence", "version", "ops", "parked", "tenant", "gc_at", "expires_at",
        "created_at", "updated_at", "tombstone", "__proto__", "$set")  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that has a defect, and a proxy in front of it."""
    one = Server(tmp_path_factory.mktemp("input") / "data", PENSTOCK_TRUSTED_PROXIES=PROXY)
    one.start("tests.support.defective")
    assert Caller(one).put("/v1/collections/c", {}).status == 201
    yield one
    one.stop()


@pytest.fixture
def ask(server: Server) -> Caller:
    return Caller(server)


# Bombs.


def peak_memory(server: Server) -> int:
    """Bytes that the server has ever had in memory."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


ZEROS = bytes(MIB)
BOMBS = {
    "gzip, many members": ("gzip", gzip.compress(ZEROS) * 300, 413, "body_too_large"),
    "gzip, by its other name": ("x-gzip", gzip.compress(ZEROS * 2), 413, "body_too_large"),
    "gzip, empty members": ("gzip", gzip.compress(b"") * 40_000, 400, "invalid_body"),
    "zstd, many frames": ("zstd", zstandard.compress(ZEROS) * 300, 413, "body_too_large"),
    "zstd, empty frames": ("zstd", zstandard.compress(b"") * 80_000, 400, "invalid_body"),
    "gzip in gzip": ("gzip", gzip.compress(gzip.compress(ZEROS * 200)), 400, "malformed_json"),
    "zstd in zstd": (
        "zstd",
        zstandard.compress(zstandard.compress(ZEROS * 200)),
        400,
        "malformed_json",
    ),
    "twice coded": ("gzip, gzip", gzip.compress(b"{}"), 415, "unsupported_encoding"),
    "brotli": ("br", b"\x8b\x00\x80{}\x03", 415, "unsupported_encoding"),
}


@pytest.mark.parametrize(("coding", "body", "status", "code"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_without_the_memory(
    ask: Caller, coding: str, body: bytes, status: int, code: str
) -> None:
    before = peak_memory(ask.server)
    reply = ask("PUT", f"{RECORDS}/bomb", body, {**JSON, "Content-Encoding": coding})
    assert (reply.status, reply.code) == (status, code)
    assert peak_memory(ask.server) - before < 32 * MIB
    assert ask("GET", f"{RECORDS}/bomb").status == 404


def test_a_frame_that_wants_more_memory_than_it_may_is_refused(ask: Caller) -> None:
    wide = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
    writer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    body = writer.compress(b'{"a":1}') + writer.flush()
    before = peak_memory(ask.server)
    reply = ask("PUT", f"{RECORDS}/wide", body, {**JSON, "Content-Encoding": "zstd"})
    assert (reply.status, reply.code) == (400, "invalid_body")
    assert peak_memory(ask.server) - before < 32 * MIB


# The log.


def lines_since(server: Server, mark: int) -> list[dict[str, Any]]:
    """What was logged since the log was so long; each line has to be an object."""
    text = server.log.read_bytes()[mark:]
    found = [json.loads(one) for one in text.splitlines()]
    assert all(isinstance(one, dict) for one in found)
    return found


def failed(server: Server, source: str, **headers: str) -> dict[str, Any]:
    """The line of a request that meets a defect, from an address of ours."""
    mark = server.log.stat().st_size
    given = {"Authorization": f"Bearer {Server.KEY}", **headers}
    rest = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    with Raw(server.url, source=source) as raw:
        forged = 'poison","event":"forged'.replace('"', "%22")
        raw.send(f"GET {RECORDS}/{forged} HTTP/1.1\r\nHost: h\r\n{rest}\r\n".encode())
        answer = raw.answer()
    assert answer is not None
    assert (answer.status, answer.code) == (500, "internal")
    assert "defect, met" not in answer.body.decode()
    (line,) = (one for one in lines_since(server, mark) if one["event"] == "request_failed")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert Server.KEY not in json.dumps(line)
    return line


@pytest.mark.parametrize(
    "given",
    ['a","event":"forged', "a\\n{}", "a b", "x" * 65, "é", "<script>", "../../etc/passwd"],
)
def test_no_input_makes_a_line_of_the_log_or_its_request_id(server: Server, given: str) -> None:
    line = failed(server, STRANGER, **{"X-Request-Id": given, "User-Agent": given})
    assert line["request_id"] != given
    assert line["client"] == STRANGER


def test_a_request_id_that_is_one_is_in_the_log_and_in_the_answer(server: Server) -> None:
    assert failed(server, STRANGER, **{"X-Request-Id": "Mine-1.a_b"})["request_id"] == "Mine-1.a_b"


@pytest.mark.parametrize(
    ("source", "headers", "client"),
    [
        (PROXY, {"X-Forwarded-For": "198.51.100.1"}, "198.51.100.1"),
        (PROXY, {"X-Forwarded-For": "203.0.113.5, 198.51.100.1"}, "198.51.100.1"),
        (PROXY, {"Forwarded": 'for="[2001:db8::1]:80";proto=https'}, "2001:db8::1"),
        (PROXY, {"X-Forwarded-For": '1.2.3.4","event":"forged'}, PROXY),
        (STRANGER, {"X-Forwarded-For": "198.51.100.1"}, STRANGER),
        (STRANGER, {"Forwarded": "for=198.51.100.1", "X-Real-IP": "198.51.100.1"}, STRANGER),
        (STRANGER, {"X-Forwarded-For": PROXY}, STRANGER),
    ],
)
def test_proxies_are_believed_and_nobody_else(
    server: Server, source: str, headers: dict[str, str], client: str
) -> None:
    assert failed(server, source, **headers)["client"] == client


def test_proxies_decide_nothing(ask: Caller) -> None:
    spoofed = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-User": "admin",
        "X-Original-URL": "/v1/collections/c",
        "X-HTTP-Method-Override": "DELETE",
        "Penstock-Principal": "admin",
    }
    for key, status in ((Server.KEY, 202), ("wrong", 401)):
        authorization = {"Authorization": f"Bearer {key}"}
        reply = ask("POST", RECORDS, b"{}", {**JSON, **spoofed, **authorization})
        assert reply.status == status
        assert "evil" not in str(reply.headers)
    assert ask("GET", "/v1/collections/c", None, spoofed).status == 200


# What is ours to set.


def test_fields_that_have_our_names_are_data_like_any_other(ask: Caller) -> None:
    data = dict.fromkeys(OURS, "ffffffffffffffffffffffff")
    reply = ask.put(f"{RECORDS}/mass?ack=applied", data)
    assert reply.status == 201
    record = ask("GET", f"{RECORDS}/mass").json
    assert sorted(record) == ["created_at", "data", "id", "updated_at", "version"]
    assert (record["id"], record["version"]) == ("mass", reply.json["version"])
    assert record["data"] == data
    patch = {"Content-Type": "application/merge-patch+json"}
    body = json.dumps({"version": None, "fence": None, "_id": "other"}).encode()
    again = ask("PATCH", f"{RECORDS}/mass?ack=applied", body, patch)
    assert again.json["version"] > reply.json["version"]
    assert ask("GET", f"{RECORDS}/other").status == 404
    made = ask("POST", f"{RECORDS}?ack=applied", b'{"id":"chosen","_id":"chosen"}', JSON)
    assert made.status == 201
    assert made.json["id"] != "chosen"


@pytest.mark.parametrize("name", [one for one in OURS if one != "id"])
def test_a_line_of_a_bulk_sets_none_of_them(ask: Caller, name: str) -> None:
    line = json.dumps({"id": "line", "data": {}, name: "ffffffffffffffffffffffff"}).encode()
    refused, last = ask.bulk("c", line).lines
    assert (refused["problem"]["code"], last["accepted"]) == ("invalid_line", 0)


@pytest.mark.parametrize("name", [one for one in OURS if one not in ("id", "version")])
def test_no_filter_and_no_sort_reaches_them(ask: Caller, name: str) -> None:
    for filter_ in ({name: 1}, {f"data.{name}.$where": 1}, {"data.a": {"$where": "1"}}):
        if filter_ == {name: 1} and name in ("created_at", "updated_at"):
            continue
        body = json.dumps({"filter": filter_}).encode()
        reply = ask("POST", f"{RECORDS}:query", body, JSON)
        assert (reply.status, reply.code) == (400, "invalid_filter")


@pytest.mark.parametrize("name", ["id", "tenant", "revision", "collection_id", "dropped", "_id"])
def test_settings_of_a_collection_set_none_of_them(ask: Caller, name: str) -> None:
    reply = ask.put("/v1/collections/mass", {name: "x"})
    assert (reply.status, reply.code) == (400, "invalid_collection")
    assert ask("GET", "/v1/collections/mass").status == 404


def test_methods_that_nothing_here_takes_are_405(ask: Caller) -> None:
    for method in ("TRACE", "PROPFIND", "SEARCH", "BREW", "PURGE"):
        reply = ask(method, f"{RECORDS}/mass")
        assert (reply.status, reply.code) == (405, "method_not_allowed")
        assert reply.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
        assert Server.KEY not in reply.body.decode()


def test_a_head_of_a_stream_has_no_body_and_what_follows_is_answered(server: Server) -> None:
    auth = f"Host: h\r\nAuthorization: Bearer {Server.KEY}\r\n\r\n"
    with Raw(server.url) as raw:
        raw.send(f"HEAD {RECORDS}:export HTTP/1.1\r\n{auth}".encode())
        answer = raw.answer(head_only=True)
        assert answer is not None
        assert answer.status == 200
        assert raw.is_open()


def test_a_client_that_closes_its_half_is_answered(server: Server) -> None:
    with Raw(server.url) as raw:
        auth = f"Host: h\r\nAuthorization: Bearer {Server.KEY}\r\n\r\n"
        raw.send(f"GET {RECORDS} HTTP/1.1\r\n{auth}".encode() * 3)
        raw.socket.shutdown(socket.SHUT_WR)
        assert [one.status for one in raw.answers()] == [200, 200, 200]
