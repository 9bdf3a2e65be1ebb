"""What is turned away without being taken apart: one plain request, and what it counts for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.admission import Budget
from penstock.api.gate import Gate
from penstock.api.router import Router
from penstock.api.routes import ROUTES
from penstock.api.skim import Skimmer
from penstock.config import Configuration

HEAD = b"GET /v1/collections/c/records/a HTTP/1.1\r\nHost: h\r\n"
GET = HEAD + b"Authorization: Bearer k\r\n\r\n"
PUT = (
    b"PUT /v1/collections/c/records/a?ack=applied HTTP/1.1\r\nHost: h\r\n"
    b"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{}\r\n\r\n "
)
LONG_WAY = [
    b"",
    GET[:-1],
    GET + b"G",
    GET + b"\x00",
    GET + GET,
    PUT[:-1],
    PUT + b"x",
    HEAD + b"X-Request-ID: not mine\r\n\r\n",
    HEAD + b"X-Request-ID: mine\r\nX-Request-ID: yours\r\n\r\n",
    HEAD + b"X-Request-ID : mine\r\n\r\n",
    HEAD.replace(b"GET", b"HEAD") + b"\r\n",
    HEAD + b"Connection: keep-alive, close\r\n\r\n",
    HEAD + b"Connection: close\r\n\r\n",
    HEAD + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Content-Length: 5\r\n\r\n",
    HEAD + b"Host: other\r\n\r\n",
    HEAD + b"Bad Header: x\r\n\r\n",
    HEAD.replace(b"1.1", b"1.0") + b"\r\n",
    HEAD.replace(b"Host", b"Hose") + b"\r\n",
    HEAD.replace(b"/a", b"/\xff") + b"\r\n",
    HEAD.replace(b"/a", b"/a#b") + b"\r\n",
    HEAD.replace(b"/v1", b"http://h/v1") + b"\r\n",
    HEAD + b"X: " + b"x" * 8192 + b"\r\n\r\n",
    HEAD + b"Content-Length: 02\r\n\r\n{}{}",
    HEAD + b"Content-Length:3\r\n\r\n{} ",
    b"no request at all\r\n\r\n",
]


def test_one_plain_request_is_told_by_method_and_path() -> None:
    skimmer = Skimmer()
    kept = HEAD + b"Connection: keep-alive\r\n\r\n"
    assert skimmer.look(kept) == (b"GET", b"/v1/collections/c/records/a", None)
    for _ in range(3):
        assert skimmer.look(GET) == (b"GET", b"/v1/collections/c/records/a", None)
        assert skimmer.look(PUT) == (b"PUT", b"/v1/collections/c/records/a", None)


@pytest.mark.parametrize("data", LONG_WAY)
def test_anything_else_goes_the_long_way_and_leaves_no_trace(data: bytes) -> None:
    skimmer = Skimmer()
    for _ in range(2):
        assert skimmer.look(data) is None
    assert skimmer.look(GET) == (b"GET", b"/v1/collections/c/records/a", None)


@given(st.binary(max_size=40), st.integers(0, len(GET)))
def test_no_bytes_make_it_see_what_is_not_there(noise: bytes, place: int) -> None:
    fresh, experienced = Skimmer(), Skimmer()
    experienced.look(GET)
    damaged = GET[:place] + noise + GET[place:]
    for skimmer in (fresh, experienced):
        for _ in range(2):
            if skimmer.look(damaged) is not None:
                # One head, and nothing behind it, in the only way in which there is one.
                assert damaged.endswith(b"\r\n\r\n")
                assert damaged.count(b"\r\n\r\n") == 1
        assert skimmer.look(GET) == (b"GET", b"/v1/collections/c/records/a", None)


def test_a_request_id_is_told_and_does_not_make_the_headers_new() -> None:
    skimmer = Skimmer()
    for number in range(5):
        told = skimmer.look(HEAD + b"X-REQUEST-id: r.%d-_\r\nA: b\r\n\r\n" % number)
        assert told == (b"GET", b"/v1/collections/c/records/a", b"r.%d-_" % number)
        assert skimmer.look(HEAD.replace(b"Host", b"x-request-id: z\r\nHost") + b"\r\n") == (
            *told[:2],
            b"z",
        )
    assert len(skimmer._known) == 2


def test_no_more_headers_are_remembered_than_there_is_room_for() -> None:
    skimmer = Skimmer()
    for number in range(2_000):
        assert skimmer.look(HEAD + b"X: %d\r\n\r\n" % number) is not None
        assert len(skimmer._known) <= 512


def test_what_is_told_without_the_router_is_what_the_router_tells() -> None:
    gate = Gate(Router(ROUTES), Configuration.read(), "0" * 10)
    found = {}
    for route in ROUTES:
        for name in ("c", "records", "a%2Fb"):
            path = route.pattern
            for place in route.places:
                path = path.replace(f"{{{place}}}", name)
            line = gate.line(route.method, path.encode())
            expected = None if route.budget is Budget.HEALTH else gate.limits[route.budget]
            assert (line and line.limit) is expected, (route.method, path)
            found[route.name] = route.budget.value
    assert {name for name, budget in found.items() if budget == "health"} == {
        "livez",
        "readyz",
        "metrics",
    }
    assert found["get_record"] == "read"
    assert found["put_record"] == found["create_record"] == found["delete_record"] == "write"
    assert found["list_records"] == found["get_records"] == found["put_collection"] == "query"
    assert found["write_records"] == found["export_records"] == "stream"
