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
    HEAD + b"X-Request-ID: mine\r\n\r\n",
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
    b"no request at all\r\n\r\n",
]


def test_one_plain_request_is_told_by_method_and_path() -> None:
    skimmer = Skimmer()
    for _ in range(3):
        assert skimmer.look(GET) == ("GET", b"/v1/collections/c/records/a")
        assert skimmer.look(PUT) == ("PUT", b"/v1/collections/c/records/a")


@pytest.mark.parametrize("data", LONG_WAY)
def test_anything_else_goes_the_long_way_and_leaves_no_trace(data: bytes) -> None:
    skimmer = Skimmer()
    assert skimmer.look(data) is None
    assert skimmer.look(GET) == ("GET", b"/v1/collections/c/records/a")


@given(st.binary(max_size=40), st.integers(0, len(GET)))
def test_no_bytes_make_it_see_what_is_not_there(noise: bytes, place: int) -> None:
    skimmer = Skimmer()
    damaged = GET[:place] + noise + GET[place:]
    asked = skimmer.look(damaged)
    if asked is not None:
        # One head, and nothing behind it, in the only way in which there is one.
        assert damaged.endswith(b"\r\n\r\n")
        assert damaged.lstrip(b"\r\n").count(b"\r\n\r\n") == 1
    assert skimmer.look(GET) == ("GET", b"/v1/collections/c/records/a")


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
    assert {name for name, budget in found.items() if budget == "health"} == {"livez", "readyz"}
    assert found["get_record"] == "read"
    assert found["put_record"] == found["create_record"] == found["delete_record"] == "write"
    assert found["list_records"] == found["get_records"] == found["put_collection"] == "query"
    assert found["write_records"] == found["export_records"] == "stream"
