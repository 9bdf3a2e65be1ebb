"""The HTTP API from outside: a real process, over a real socket."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from tests.support.asking import Caller, Reply
from tests.support.roles import server_of
from tests.support.server import Server

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    server = server_of(tmp_path_factory.mktemp("api") / "data")
    server.start()
    yield Caller(server)
    server.stop()


_numbers = itertools.count()


@pytest.fixture
def records(ask: Caller) -> str:
    """The address of the records of a new collection."""
    name = f"c{next(_numbers)}"
    assert ask.put(f"/v1/collections/{name}", {}).status == 201
    return f"/v1/collections/{name}/records"


def data_of(reply: Reply) -> Any:
    assert reply.status == 200, reply
    return reply.json["data"]


def test_a_collection_is_put_read_listed_changed_and_dropped(ask: Caller) -> None:
    target = "/v1/collections/life"
    created = ask.put(target, {"ttl": {"after": "30d"}})
    assert (created.status, created.json["revision"]) == (201, 1)
    assert created.json["ttl"] == {"after": "30d", "field": "updated_at"}
    assert created.json["cache"] == {"ttl": "30s", "write_through": False}
    assert created.json["created_at"] == created.json["updated_at"]
    assert "schema" not in created.json
    assert (again := ask.put(target, {"ttl": {"after": "30d"}})).status == 200
    assert again.json == created.json
    changed = ask.put(target, {"schema": {"type": "object"}})
    assert (changed.status, changed.json["revision"]) == (200, 2)
    assert changed.json["schema"] == {"type": "object"}
    assert "ttl" not in changed.json
    assert ask("GET", target).json == changed.json
    assert changed.json in ask("GET", "/v1/collections").json["collections"]
    dropped = ask("DELETE", target)
    assert (dropped.status, dropped.body) == (204, b"")
    for method in ("GET", "DELETE"):
        assert ask(method, target).code == "collection_not_found"
    assert ask.put(f"{target}/records/a", {}).code == "collection_not_found"


def test_a_collection_made_again_has_nothing_of_the_dropped_one(ask: Caller) -> None:
    ask.put("/v1/collections/again", {})
    ask.put("/v1/collections/again/records/a?ack=applied", {})
    ask("DELETE", "/v1/collections/again")
    assert ask.put("/v1/collections/again", {}).json["revision"] == 1
    assert ask("GET", "/v1/collections/again/records/a").status == 404
    assert ask("GET", "/v1/collections/again/records").json == {"records": []}


def test_a_durable_write_is_202_and_its_receipt_makes_a_read_see_it(
    ask: Caller, records: str
) -> None:
    for number in range(20):
        put = ask.put(f"{records}/a", {"n": number})
        assert (put.status, put.json["id"], put.json["status"]) == (202, "a", "durable")
        assert put.headers["penstock-receipt"] == put.json["receipt"]
        seen = ask("GET", f"{records}/a", headers={"Penstock-Receipt": put.json["receipt"]})
        assert data_of(seen) == {"n": number}


def test_a_write_that_waits_is_answered_as_it_came_out(ask: Caller, records: str) -> None:
    wait = {"Prefer": "wait"}
    created = ask.put(f"{records}/a", {"n": 1}, **wait)
    assert (created.status, created.json["status"]) == (201, "applied")
    assert created.headers["preference-applied"] == "wait"
    assert created.headers["etag"] == f'"{created.json["version"]}"'
    replaced = ask.put(f"{records}/a", {"n": 2}, **wait)
    assert replaced.status == 200
    assert replaced.json["version"] > created.json["version"]
    patched = ask("PATCH", f"{records}/a", b'{"m":3}', {**JSON, **wait})
    assert patched.status == 200
    read = ask("GET", f"{records}/a")
    assert (read.json["data"], read.headers["etag"]) == ({"n": 2, "m": 3}, patched.headers["etag"])
    assert ask("DELETE", f"{records}/a", headers=wait).status == 200
    missing = ask("PATCH", f"{records}/a", b'{"m":3}', {**JSON, **wait})
    assert (missing.status, missing.code) == (404, "record_not_found")
    assert missing.headers["penstock-receipt"]


def test_a_create_says_where_the_record_is(ask: Caller, records: str) -> None:
    created = ask("POST", f"{records}?ack=applied", b'{"n":1}', JSON)
    assert created.status == 201
    assert created.headers["location"] == f"{records}/{created.json['id']}"
    assert data_of(ask("GET", created.headers["location"])) == {"n": 1}


def test_preconditions_hold_or_the_write_has_no_effect(ask: Caller, records: str) -> None:
    target = f"{records}/a?ack=applied"
    assert ask.put(target, {}, **{"If-Match": "*"}).status == 412
    first = ask.put(target, {"n": 1}, **{"If-None-Match": "*"})
    assert first.status == 201
    again = ask.put(target, {"n": 2}, **{"If-None-Match": "*"})
    assert (again.status, again.code) == (412, "precondition_failed")
    second = ask.put(target, {"n": 3}, **{"If-Match": first.headers["etag"]})
    assert second.status == 200
    for method, body in (("PUT", b"{}"), ("PATCH", b"{}"), ("DELETE", None)):
        late = ask(method, target, body, {**JSON, "If-Match": first.headers["etag"]})
        assert (late.status, late.code) == (412, "precondition_failed")
    both = {"If-Match": "*", "If-None-Match": "*"}
    assert (
        ask.put(target, {}, **both).status
        == ask.put(f"{records}/b?ack=applied", {}, **both).status
        == 412
    )
    assert data_of(ask("GET", f"{records}/a")) == {"n": 3}


def test_a_schema_is_checked_after_a_patch_too(ask: Caller) -> None:
    schema = {"properties": {"n": {"type": "number"}}}
    ask.put("/v1/collections/checked", {"schema": schema})
    target = "/v1/collections/checked/records/a?ack=applied"
    assert ask.put(target, {"n": 1}).status == 201
    refused = ask("PATCH", target, b'{"n":"one"}', JSON)
    assert (refused.status, refused.code) == (422, "schema_violation")
    assert refused.json["errors"][0]["pointer"] == "/n"
    status = ask("GET", f"/v1/receipts/{refused.headers['penstock-receipt']}").json
    assert (status["status"], status["problem"]["code"]) == ("rejected", "schema_violation")
    assert data_of(ask("GET", "/v1/collections/checked/records/a")) == {"n": 1}


def test_a_reader_that_has_the_version_gets_304(ask: Caller, records: str) -> None:
    etag = ask.put(f"{records}/a?ack=applied", {"n": 1}).headers["etag"]
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        reply = ask("GET", f"{records}/a", headers={"If-None-Match": given})
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", etag)
    assert data_of(ask("GET", f"{records}/a", headers={"If-None-Match": '"other"'})) == {"n": 1}


def test_the_same_version_is_the_same_bytes_from_the_store_and_from_the_cache(
    ask: Caller, records: str
) -> None:
    ask.put(f"{records}/a?ack=applied", {"b": 1.0, "a": "é", "$ref": {"x.y": ""}})
    cached = [ask("GET", f"{records}/a") for _ in range(2)]
    fresh = ask("GET", f"{records}/a", headers={"Cache-Control": "no-cache"})
    assert {reply.body for reply in cached} == {fresh.body}
    assert fresh.headers["age"] == "0"
    listed = ask("GET", records).body
    assert listed == b'{"records":[' + fresh.body + b"]}"


@pytest.mark.parametrize("record_id", ["a/b", "..", ".", "€ ü", "%41", "a?b#c", 'q"\\q', "x" * 512])
def test_an_id_may_be_any_text(ask: Caller, records: str, record_id: str) -> None:
    target = f"{records}/{quote(record_id, safe='')}"
    put = ask.put(f"{target}?ack=applied", {"n": 1})
    assert (put.status, put.json["id"]) == (201, record_id)
    assert ask("GET", target).json["id"] == record_id
    body = json.dumps({"ids": [record_id]}).encode()
    assert ask("POST", f"{records}:get", body, JSON).json["records"][0]["id"] == record_id
    assert ask("GET", records).json["records"][0]["id"] == record_id
    assert ask("DELETE", f"{target}?ack=applied").status == 200


def test_several_records_come_once_each_in_the_order_asked_for(ask: Caller, records: str) -> None:
    for record_id in "abc":
        ask.put(f"{records}/{record_id}?ack=applied", {"id": record_id})
    body = b'{"ids":["c","x","a","c","y"]}'
    reply = ask("POST", f"{records}:get", body, JSON)
    assert [one["data"]["id"] for one in reply.json["records"]] == ["c", "a"]
    assert reply.json["missing"] == ["x", "y"]


def test_pages_hold_every_record_once_in_order(ask: Caller, records: str) -> None:
    ids = [f"{number:03d}" for number in range(57)]
    body = b"".join(b'{"id":"%b","data":{}}\n' % one.encode() for one in reversed(ids))
    receipt = ask.bulk(records.split("/")[3], body).lines[-1]["receipt"]
    found: list[str] = []
    token = ""
    while True:
        page = ask(
            "GET",
            f"{records}?page_size=10" + (f"&page_token={token}" if token else ""),
            headers={"Penstock-Receipt": receipt},
        ).json
        found += [one["id"] for one in page["records"]]
        if "next_page_token" not in page:
            break
        assert len(page["records"]) == 10
        token = page["next_page_token"]
    assert found == ids


def test_a_repeated_request_with_a_key_has_one_effect_and_one_receipt(
    ask: Caller, records: str
) -> None:
    key = {"Idempotency-Key": "order-7", **JSON}
    first = ask("POST", records, b'{"n":1}', key)
    quoted = {**key, "Idempotency-Key": '"order-7"'}
    assert ask("POST", records, b'{"n":1}', quoted).json == first.json
    other = ask("POST", records, b'{"n":2}', key)
    assert (other.status, other.code) == (422, "idempotency_mismatch")
    presented = {"Penstock-Receipt": first.json["receipt"]}
    page = ask("GET", records, headers=presented).json
    assert [one["data"] for one in page["records"]] == [{"n": 1}]


def test_a_bulk_repeated_under_its_key_has_one_effect(ask: Caller, records: str) -> None:
    name = records.split("/")[3]
    body = b'{"data":{"n":1}}\n{"data":{"n":2}}\n'
    first = ask.bulk(name, body, **{"Idempotency-Key": "batch-1"}).lines
    second = ask.bulk(name, body, **{"Idempotency-Key": "batch-1"}).lines
    assert [one["id"] for one in first[:-1]] == [one["id"] for one in second[:-1]]
    presented = {"Penstock-Receipt": second[-1]["receipt"]}
    page = ask("GET", records, headers=presented).json
    assert [one["data"] for one in page["records"]] == [{"n": 1}, {"n": 2}]
    assert ask("GET", f"/v1/receipts/{second[-1]['receipt']}").json == {"status": "applied"}


def test_a_bulk_answers_lines_while_others_are_still_to_come(ask: Caller, records: str) -> None:
    head = (
        f"POST {records}:bulk HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {Server.KEY}\r\n"
        "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    address = urlsplit(ask.server.url)
    with socket.create_connection((str(address.hostname), address.port), timeout=10) as peer:
        received = peer.makefile("rb")
        peer.sendall(head)
        for number in range(3):
            line = b'{"id":"%d","data":{}}\n' % number
            peer.sendall(b"%x\r\n%b\r\n" % (len(line), line))
            wanted = b'{"index":%d,"id":"%d","status":"durable"}\n' % (number, number)
            while received.readline() != wanted:
                pass
        peer.sendall(b"0\r\n\r\n")
        while b'"done":true' not in received.readline():
            pass


def test_receipts_say_what_became_of_a_write(ask: Caller, records: str) -> None:
    applied = ask.put(f"{records}/a?ack=applied", {}).json
    found = ask("GET", f"/v1/receipts/{applied['receipt']}").json
    assert found == {
        "status": "applied",
        "id": "a",
        "version": applied["version"],
        "created": True,
    }


def test_a_read_minds_only_the_receipts_of_its_own_record(ask: Caller, records: str) -> None:
    ask.put(f"{records}/a?ack=applied", {"n": 1})
    other = ask.put(f"{records}/b", {}).json["receipt"]
    own = ask.put(f"{records}/a", {"n": 2}).json["receipt"]
    both = {"Penstock-Receipt": f"{other}, {own}"}
    assert data_of(ask("GET", f"{records}/a", headers=both)) == {"n": 2}


def test_head_is_get_without_the_body(ask: Caller, records: str) -> None:
    ask.put(f"{records}/a?ack=applied", {"n": 1})
    get, head = ask("GET", f"{records}/a"), ask("HEAD", f"{records}/a")
    assert (head.status, head.body) == (200, b"")
    for name in ("content-length", "etag", "content-type"):
        assert head.headers[name] == get.headers[name]
    assert ask("HEAD", f"{records}/none").status == 404


def test_health_and_documents_need_no_key(ask: Caller) -> None:
    nobody = {"Authorization": ""}
    for target in ("/livez", "/readyz"):
        assert ask("GET", target, headers=nobody).json == {"status": "ok"}
    assert ask("GET", "/openapi.json", headers=nobody).json["openapi"] == "3.1.0"
    page = ask("GET", "/docs", headers=nobody)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


def test_a_durable_write_outlives_a_stop(tmp_path: Path) -> None:
    server = server_of(tmp_path / "data")
    server.start()
    ask = Caller(server)
    ask.put("/v1/collections/c", {})
    receipt = ask.put("/v1/collections/c/records/a", {"n": 1}).json["receipt"]
    server.stop()
    server.start()
    again = ask("GET", "/v1/collections/c/records/a", headers={"Penstock-Receipt": receipt})
    assert data_of(again) == {"n": 1}
    server.stop()
