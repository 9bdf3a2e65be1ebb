"""Bad input gets a clear problem, and touches nothing else."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.support.asking import Caller, Reply
from tests.support.roles import server_of
from tests.support.server import Server

MIB = 1024 * 1024
JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
RECORD = "/v1/collections/c/records/x"
SCHEMA = {
    "type": "object",
    "required": ["site"],
    "properties": {"level": {"type": "number"}, "tags": {"items": {"type": "string"}}},
}


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    server = server_of(tmp_path_factory.mktemp("bad") / "data")
    server.start()
    caller = Caller(server)
    for name, settings in (("c", {}), ("other", {}), ("strict", {"schema": SCHEMA})):
        assert caller.put(f"/v1/collections/{name}", settings).status == 201
    yield caller
    server.stop()


def written(ask: Caller) -> int:
    """The offset of a write made now: two in a row differ by what was written between."""
    reply = ask.put("/v1/collections/other/records/probe?ack=applied", {})
    assert reply.status in {200, 201}
    return int(reply.json["version"][8:], 16)


@pytest.fixture
def ask(writer: Caller) -> Iterator[Caller]:
    """For requests of which none may write anything at all."""
    before = written(writer)
    yield writer
    assert written(writer) == before + 1


NOT_JSON = [
    (b"", 0),
    (b'{"a":1', 6),
    (b"{'a':1}", 1),
    (b'{"a":1,}', 7),
    (b'{"a":01}', 6),
    (b'{"a":1} x', 8),
    (b'{"a":1}{}', 7),
    (b'\xef\xbb\xbf{"a":1}', 0),
    (b'{"a":"\xff"}', 6),
    (b'{"a":"\xed\xa0\x80"}', 6),
    (b'{"a":NaN}', 5),
    (b'{"a":Infinity}', 5),
    (b'{"a":"\x01"}', 6),
    (b'{"a":"\\ud800"}', 12),
    (b'{"a":"\\udc00!"}', 11),
    (b'{"\\ud800":1}', 8),
    (b'{"a":1,"a":2}', 11),
    (b'{"a":[{"b":1,"\\u0062":2}]}', 22),
    (b'\n\n{"a":\n tru}', 12),
    (b'{"a":"\xc3\xa9","b":nul}', 17),
]

NO_RECORD = [
    (b'{"a":1e400}', "/a"),
    (b'{"a":[1,-1e999]}', "/a/1"),
    (b'{"a":9223372036854775808}', "/a"),
    (b'{"a":{"b/c":[-9223372036854775809]}}', "/a/b~1c/0"),
    (b'{"a":{"b\\u0000":1}}', "/a"),
    (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "/a" + "/0" * 63),
    (b"[1]", ""),
    (b"null", ""),
]


@pytest.mark.parametrize(("body", "offset"), NOT_JSON)
def test_what_is_not_json_is_400_with_the_byte_offset(
    ask: Caller, body: bytes, offset: int
) -> None:
    reply = ask("PUT", RECORD, body, JSON)
    assert (reply.status, reply.code) == (400, "malformed_json")
    assert f"at byte {offset}" in reply.json["detail"]


@pytest.mark.parametrize(("body", "pointer"), NO_RECORD)
def test_what_no_record_can_hold_is_400_with_a_pointer(
    ask: Caller, body: bytes, pointer: str
) -> None:
    for method, target in (("PUT", RECORD), ("POST", RECORD[:-2]), ("PATCH", RECORD)):
        reply = ask(method, target, body, JSON)
        assert (reply.status, reply.code) == (400, "invalid_record")
        assert [one["pointer"] for one in reply.json["errors"]] == [pointer]


def test_the_extremes_that_are_allowed_come_back_as_they_were(writer: Caller) -> None:
    body = b'{"min":-9223372036854775808,"max":9223372036854775807,"deep":%b}' % (
        b"[" * 63 + b"]" * 63
    )
    assert writer("PUT", f"{RECORD}?ack=applied", body, JSON).status == 201
    assert writer("GET", RECORD).body.endswith(b'"data":' + body + b"}")
    assert writer("DELETE", f"{RECORD}?ack=applied").status == 200


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        ({}, [""]),
        ({"site": "A", "level": "high"}, ["/level"]),
        ({"level": True, "tags": ["a", 1]}, ["", "/level", "/tags/1"]),
    ],
)
def test_what_breaks_the_schema_is_422_with_a_pointer_for_each_thing(
    ask: Caller, value: Any, pointers: list[str]
) -> None:
    reply = ask.put("/v1/collections/strict/records/x", value)
    assert (reply.status, reply.code) == (422, "schema_violation")
    assert sorted(one["pointer"] for one in reply.json["errors"]) == pointers


OVER = b'{"a":"' + b"x" * MIB + b'"}'


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (OVER, "identity"),
        ([OVER[:1000], OVER[1000:]], "identity"),
        (gzip.compress(OVER), "gzip"),
        (zstandard.ZstdCompressor().compress(OVER), "zstd"),
    ],
    ids=["declared", "in chunks", "gzip", "zstd"],
)
def test_a_body_over_a_mebibyte_is_413(ask: Caller, body: Any, encoding: str) -> None:
    reply = ask("PUT", RECORD, body, {**JSON, "Content-Encoding": encoding})
    assert (reply.status, reply.code) == (413, "body_too_large")


def test_a_body_of_a_mebibyte_is_taken(writer: Caller) -> None:
    body = b'{"a":"' + b"x" * (MIB - 8) + b'"}'
    assert len(body) == MIB
    assert writer("PUT", f"{RECORD}?ack=applied", body, JSON).status == 201
    assert writer("DELETE", f"{RECORD}?ack=applied").status == 200


def peak_memory(ask: Caller) -> int:
    """Bytes that the server has ever had in memory."""
    status = Path(f"/proc/{ask.server.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("target", [RECORD, "/v1/collections/c/records:bulk"])
def test_a_bomb_is_413_without_the_memory(ask: Caller, encoding: str, target: str) -> None:
    zeros = bytes(300 * MIB)
    bomb = gzip.compress(zeros) if encoding == "gzip" else zstandard.compress(zeros)
    del zeros
    bulk = target.endswith("bulk")
    before = peak_memory(ask)
    content = LINES if bulk else JSON
    reply = ask("POST" if bulk else "PUT", target, bomb, {**content, "Content-Encoding": encoding})
    assert (reply.status, reply.code) == (413, "body_too_large")
    assert peak_memory(ask) - before < 40 * MIB


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "unsupported_media_type"),
        ({"Content-Type": "text/plain"}, "unsupported_media_type"),
        ({"Content-Type": "application/json; charset=latin-1"}, "unsupported_media_type"),
        ({"Content-Type": "application/merge-patch+json"}, "unsupported_media_type"),
        ({**JSON, "Content-Encoding": "br"}, "unsupported_encoding"),
        ({**JSON, "Content-Encoding": "gzip, gzip"}, "unsupported_encoding"),
    ],
)
def test_other_media_types_and_codings_are_415(
    ask: Caller, headers: dict[str, str], code: str
) -> None:
    reply = ask("PUT", RECORD, b"{}", headers)
    assert (reply.status, reply.code) == (415, code)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_that_is_not_what_its_coding_says_is_400(ask: Caller, encoding: str) -> None:
    reply = ask("PUT", RECORD, b"{}", {**JSON, "Content-Encoding": encoding})
    assert (reply.status, reply.code) == (400, "invalid_body")


@pytest.mark.parametrize(
    "record_id",
    ["", "%00", "a%0Ab", "%7F", "%C2%85", "%E2%80%A8", "x" * 513, "%E2%82%AC" * 171, "%zz", "%FF"],
)
def test_ids_that_are_empty_too_long_or_have_control_characters_are_400(
    ask: Caller, record_id: str
) -> None:
    for method in ("PUT", "GET", "DELETE"):
        body = b"{}" if method == "PUT" else None
        reply = ask(method, f"/v1/collections/c/records/{record_id}", body, JSON)
        assert (reply.status, reply.code) == (400, "invalid_id")


@pytest.mark.parametrize("name", ["", "C", "a.b", "-a", "a%20b", "a" * 64, "%FF"])
def test_names_that_are_none_are_400(ask: Caller, name: str) -> None:
    for reply in (
        ask.put(f"/v1/collections/{name}", {}),
        ask.put(f"/v1/collections/{name}/records/x", {}),
    ):
        assert (reply.status, reply.code) == (400, "invalid_name")


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("/v1/collections/c/records?limit=3", "'limit'"),
        ("/v1/collections/c/records?page_size=0", "'page_size'"),
        ("/v1/collections/c/records?page_size=1001", "'page_size'"),
        ("/v1/collections/c/records?page_size=ten", "'page_size'"),
        ("/v1/collections/c/records?page_size=1&page_size=1", "'page_size'"),
        ("/v1/collections?x", "'x'"),
        ("/livez?x=1", "'x'"),
    ],
)
def test_query_parameters_that_are_unknown_or_wrong_are_400(
    ask: Caller, target: str, named: str
) -> None:
    reply = ask("GET", target)
    assert (reply.status, reply.code) == (400, "invalid_parameter")
    assert named in reply.json["detail"]


def changed(text: str) -> str:
    """The same with one character changed in the midst."""
    middle = len(text) // 2
    return text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]


def test_forged_and_foreign_tokens_and_receipts_are_400(writer: Caller) -> None:
    assert writer.put("/v1/collections/pages", {}).status == 201
    receipt = ""
    for record_id in ("a", "b"):
        receipt = writer.put(f"/v1/collections/pages/records/{record_id}?ack=applied", {}).json[
            "receipt"
        ]
    token = writer("GET", "/v1/collections/pages/records?page_size=1").json["next_page_token"]

    def page(given: str, collection: str = "pages") -> Reply:
        return writer("GET", f"/v1/collections/{collection}/records?page_token={given}")

    assert page(token).status == 200
    for given, collection in (
        (changed(token), "pages"),
        (token, "c"),
        (receipt, "pages"),
        ("", "c"),
    ):
        assert (page(given, collection).status, page(given, collection).code) == (
            400,
            "invalid_page_token",
        )
    assert writer("GET", f"/v1/receipts/{receipt}").json["status"] == "applied"
    for given in (changed(receipt), token, "nonsense"):
        by_path = writer("GET", f"/v1/receipts/{given}")
        by_header = writer("GET", RECORD, headers={"Penstock-Receipt": given})
        for reply in (by_path, by_header):
            assert (reply.status, reply.code) == (400, "invalid_receipt")


def test_no_key_and_a_wrong_key_are_401_with_the_same_body(ask: Caller) -> None:
    bodies = set()
    for key in ("", "Bearer", "Bearer wrong-0123456789abc", f"Basic {Server.KEY}", Server.KEY):
        given = {"Authorization": key, "X-Request-Id": "same", **JSON}
        reply = ask("PUT", RECORD, b"{}", given)
        assert reply.status == 401
        bodies.add(reply.body)
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ([], ""),
        ({"shema": {}}, "/shema"),
        ({"schema": {"type": "nothing"}}, "/schema"),
        ({"schema": {"$ref": "http://127.0.0.1:9/schema"}}, "/schema"),
        ({"ttl": {"after": "soon"}}, "/ttl/after"),
        ({"ttl": {"after": "30d", "field": "site"}}, "/ttl/field"),
        ({"ttl": {}}, "/ttl"),
        ({"cache": {"ttl": 30}}, "/cache/ttl"),
    ],
)
def test_settings_that_cannot_be_are_400_with_a_pointer(
    ask: Caller, settings: Any, pointer: str
) -> None:
    reply = ask.put("/v1/collections/new", settings)
    assert (reply.status, reply.code) == (400, "invalid_collection")
    assert [one["pointer"] for one in reply.json["errors"]] == [pointer]
    assert ask("GET", "/v1/collections/new").status == 404


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({}, "invalid_body", ""),
        ({"ids": "a"}, "invalid_body", "/ids"),
        ({"ids": []}, "invalid_body", "/ids"),
        ({"ids": ["a"] * 1001}, "invalid_body", "/ids"),
        ({"ids": ["a", 1]}, "invalid_body", "/ids/1"),
        ({"ids": ["a"], "x": 1}, "invalid_body", "/x"),
        ({"ids": ["a", "b\n"]}, "invalid_id", "/ids/1"),
    ],
)
def test_what_does_not_ask_for_records_is_400(
    ask: Caller, body: Any, code: str, pointer: str
) -> None:
    reply = ask("POST", "/v1/collections/c/records:get", json.dumps(body).encode(), JSON)
    assert (reply.status, reply.code) == (400, code)
    assert [one["pointer"] for one in reply.json["errors"]] == [pointer]


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": 'W/"0001000000000000000000a7"'},
        {"If-Match": '"a", "b"'},
        {"If-None-Match": '"a"'},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "k" * 256},
    ],
)
def test_headers_that_a_write_cannot_mean_are_400(ask: Caller, headers: dict[str, str]) -> None:
    reply = ask("PUT", RECORD, b"{}", {**JSON, **headers})
    assert (reply.status, reply.code) == (400, "invalid_header")


def test_a_delete_with_a_body_is_400(ask: Caller) -> None:
    reply = ask("DELETE", RECORD, b"{}", JSON)
    assert (reply.status, reply.code) == (400, "invalid_body")


def test_a_bulk_says_line_by_line_what_was_bad_and_writes_the_rest(writer: Caller) -> None:
    bad: list[tuple[bytes, str, str | None]] = [
        *((body, "malformed_json", None) for body, _ in NOT_JSON if body and b"\n" not in body),
        *(
            (b'{"data":' + body + b"}", "invalid_record", f"/data{pointer}")
            for body, pointer in NO_RECORD
        ),
        (b'{"op":"upsert","id":"a"}', "invalid_line", "/op"),
        (b'{"op":"patch","data":{}}', "invalid_line", "/id"),
        (b'{"id":7,"data":{}}', "invalid_line", "/id"),
        (b'{"id":"","data":{}}', "invalid_id", None),
        (b'{"op":"delete","id":"a","data":{}}', "invalid_line", "/data"),
        (b'{"id":"a","data":{},"more":1}', "invalid_line", ""),
        (b"[]", "invalid_line", ""),
        (b"", "invalid_line", None),
        (b'{"data":{"a":"' + b"x" * MIB + b'"}}', "line_too_large", None),
    ]
    good = [b'{"id":"good-%d","data":{}}' % number for number in range(len(bad))]
    body = b"".join(
        b"%b\n%b\n" % (line, between) for (line, _, _), between in zip(bad, good, strict=True)
    )
    assert writer.put("/v1/collections/lines", {}).status == 201
    *results, last = writer.bulk("lines", body).lines
    for number, (_, code, pointer) in enumerate(bad):
        problem = results[2 * number]["problem"]
        assert (number, problem["code"]) == (number, code)
        if pointer is not None:
            assert [one["pointer"] for one in problem["errors"]] == [pointer]
        assert results[2 * number + 1] == {
            "index": 2 * number + 1,
            "id": f"good-{number}",
            "status": "durable",
        }
    assert (last["done"], last["accepted"], last["refused"]) == (True, len(good), len(bad))
    presented = {"Penstock-Receipt": last["receipt"]}
    page = writer("GET", "/v1/collections/lines/records?page_size=1000", headers=presented).json
    assert sorted(one["id"] for one in page["records"]) == sorted(
        f"good-{number}" for number in range(len(good))
    )


def test_a_bulk_declared_over_the_limit_is_413_unread(ask: Caller) -> None:
    headers = {**LINES, "Content-Length": str(256 * MIB + 1), "Expect": "100-continue"}
    reply = ask("POST", "/v1/collections/c/records:bulk", None, headers)
    assert (reply.status, reply.code) == (413, "body_too_large")
