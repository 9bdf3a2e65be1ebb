"""Attacks on where a request ends, and on whom it is for: each is refused, and no more is read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.asking import Caller
from tests.support.raw import Raw, refusal
from tests.support.server import Server

AUTH = f"Authorization: Bearer {Server.KEY}\r\n".encode()
KEPT = b"DELETE /v1/collections/c/records/kept HTTP/1.1\r\nHost: h\r\n" + AUTH + b"\r\n"
"""What is smuggled: where it was taken for a request, the record is gone."""
PUT = (
    b"PUT /v1/collections/c/records/%b HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    + AUTH
)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: h\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("framing") / "data")
    one.start()
    assert Caller(one).put("/v1/collections/c", {}).status == 201
    assert Caller(one).put("/v1/collections/c/records/kept?ack=applied", {}).status == 201
    yield one
    one.stop()


def records(server: Server) -> list[str]:
    """Which there are, when all that was written is applied."""
    ask = Caller(server)
    receipt = ask.put("/v1/collections/c/records/probe", {}).json["receipt"]
    page = ask("GET", "/v1/collections/c/records", headers={"Penstock-Receipt": receipt})
    found = [one["id"] for one in page.json["records"] if one["id"] != "probe"]
    return [str(one) for one in found]


def put(headers: bytes, body: bytes) -> bytes:
    """A put of a record that must not come to be, and behind it what is smuggled."""
    return PUT % b"smuggled" + headers + b"\r\n" + body + KEPT


SHAPES = {
    # Two ways to say where the body ends.
    "CL.TE": put(b"Content-Length: 2\r\n" + CHUNKED, CHUNKS),
    "TE.CL": put(CHUNKED + b"Content-Length: 2\r\n", CHUNKS),
    "CL.TE, in HTTP/1.0": put(b"Content-Length: 2\r\n" + CHUNKED, CHUNKS).replace(b"1.1", b"1.0"),
    "TE in HTTP/1.0": put(CHUNKED, CHUNKS).replace(b"1.1", b"1.0"),
    "two Content-Lengths that differ": put(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{}"),
    "two Content-Lengths alike": put(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"),
    # A length that is none.
    "Content-Length: +2": put(b"Content-Length: +2\r\n", b"{}"),
    "Content-Length: -2": put(b"Content-Length: -2\r\n", b"{}"),
    "Content-Length: 2, 2": put(b"Content-Length: 2, 2\r\n", b"{}"),
    "Content-Length: 2 0": put(b"Content-Length: 2 0\r\n", b"{}"),
    "Content-Length: 0x2": put(b"Content-Length: 0x2\r\n", b"{}"),
    "Content-Length: nothing": put(b"Content-Length:\r\n", b"{}"),
    "Content-Length of 5,000 zeros": put(b"Content-Length: " + b"0" * 5000 + b"2\r\n", b"{}"),
    "Content-Length beyond 64 bits": put(b"Content-Length: 18446744073709551618\r\n", b"{}"),
    "Content-Length, folded": put(b"Content-Length:\r\n 2\r\n", b"{}"),
    "Content-Length : 2": put(b"Content-Length : 2\r\n", b"{}"),
    # Transfer codings that one server knows, and another does not.
    "TE: xchunked": put(b"Transfer-Encoding: xchunked\r\n", CHUNKS),
    "TE: identity": put(b"Transfer-Encoding: identity\r\n", CHUNKS),
    "TE: gzip, chunked": put(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS),
    "TE: chunked, gzip": put(b"Transfer-Encoding: chunked, gzip\r\n", CHUNKS),
    "TE: chunked, chunked": put(b"Transfer-Encoding: chunked, chunked\r\n", CHUNKS),
    "TE: chunked, twice": put(CHUNKED + CHUNKED, CHUNKS),
    "TE: chunked, then identity": put(CHUNKED + b"Transfer-Encoding: identity\r\n", CHUNKS),
    "TE: identity, then chunked": put(b"Transfer-Encoding: identity\r\n" + CHUNKED, CHUNKS),
    "TE: ,chunked": put(b"Transfer-Encoding: ,chunked\r\n", CHUNKS),
    'TE: "chunked"': put(b'Transfer-Encoding: "chunked"\r\n', CHUNKS),
    "TE: chunked;q=1": put(b"Transfer-Encoding: chunked;q=1\r\n", CHUNKS),
    "TE: nothing": put(b"Transfer-Encoding:\r\n", CHUNKS),
    "TE: vertical tab": put(b"Transfer-Encoding: \x0bchunked\r\n", CHUNKS),
    "TE : chunked": put(b"Transfer-Encoding : chunked\r\n", CHUNKS),
    " TE: chunked": put(b" Transfer-Encoding: chunked\r\n", CHUNKS),
    "TE, folded": put(b"Transfer-Encoding:\r\n chunked\r\n", CHUNKS),
    "TE behind a folded header": put(b"X: a\r\n Transfer-Encoding: chunked\r\n", CHUNKS),
    # Chunks that are none.
    "chunk size zz": put(CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n"),
    "chunk size 0x2": put(CHUNKED, b"0x2\r\n{}\r\n0\r\n\r\n"),
    "chunk size +2": put(CHUNKED, b"+2\r\n{}\r\n0\r\n\r\n"),
    "chunk size -2": put(CHUNKED, b"-2\r\n{}\r\n0\r\n\r\n"),
    "chunk size with blanks": put(CHUNKED, b"2 \r\n{}\r\n0\r\n\r\n"),
    "no chunk size": put(CHUNKED, b"\r\n{}\r\n0\r\n\r\n"),
    "chunk size beyond 64 bits": put(CHUNKED, b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    "chunk longer than said": put(CHUNKED, b"2\r\n{}}\r\n0\r\n\r\n"),
    "chunk without its end": put(CHUNKED, b"2\r\n{}0\r\n\r\n"),
    "line feeds between chunks": put(CHUNKED, b"2\n{}\n0\n\n"),
    "line feed in an extension": put(CHUNKED, b"2;a\nb\r\n{}\r\n0\r\n\r\n"),
    "carriage return in an extension": put(CHUNKED, b"2;a\rb\r\n{}\r\n0\r\n\r\n"),
    "NUL in an extension": put(CHUNKED, b"2;a\x00b\r\n{}\r\n0\r\n\r\n"),
    "a flood of extensions": put(CHUNKED, b"2;" + b"a" * 1_000_000 + b"\r\n{}\r\n0\r\n\r\n"),
    "a flood of zeros": put(CHUNKED, b"0" * 1_000_000 + b"2\r\n{}\r\n0\r\n\r\n"),
    # Headers behind the body.
    "trailer Content-Length": put(CHUNKED, CHUNKS[:-2] + b"Content-Length: 5\r\n\r\n"),
    "trailer Transfer-Encoding": put(CHUNKED, CHUNKS[:-2] + CHUNKED + b"\r\n"),
    "trailer Authorization": put(CHUNKED, CHUNKS[:-2] + AUTH + b"\r\n"),
    "trailer Host": put(CHUNKED, CHUNKS[:-2] + b"Host: other\r\n\r\n"),
    "trailer If-None-Match": put(CHUNKED, CHUNKS[:-2] + b"If-None-Match: *\r\n\r\n"),
    "trailer Idempotency-Key": put(CHUNKED, CHUNKS[:-2] + b"idempotency-KEY: k\r\n\r\n"),
    "trailer Penstock-Principal": put(CHUNKED, CHUNKS[:-2] + b"Penstock-Principal: x\r\n\r\n"),
    # Lines that end in more ways than one, and what stands in them.
    "line feeds alone": b"GET /livez HTTP/1.1\nHost: h\n\n",
    "a header that ends in a line feed": GET + b"X: y\nY: z\r\n\r\n",
    "a header that ends in a carriage return": GET + b"X: y\rY: z\r\n\r\n",
    "a folded header": GET + b"X: y\r\n z\r\n\r\n",
    "NUL in a header": GET + b"X: a\x00b\r\n\r\n",
    "NUL in a name": GET + b"X\x00: ab\r\n\r\n",
    "a blank before the colon": GET + b"X : ab\r\n\r\n",
    "a header without a name": GET + b": ab\r\n\r\n",
    "a header without a colon": GET + b"ab\r\n\r\n",
    # The request line.
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "HTTP/1.2": b"GET /livez HTTP/1.2\r\nHost: h\r\n\r\n",
    "HTTP/2.0": b"GET /livez HTTP/2.0\r\nHost: h\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    "a method in lower case": GET.replace(b"GET", b"get") + b"\r\n",
    "a method of both cases": GET.replace(b"GET", b"gEt") + b"\r\n",
    "NUL in the target": GET.replace(b"livez", b"li\x00vez") + b"\r\n",
    "a fragment": GET.replace(b"livez", b"livez#x") + b"\r\n",
    "no slash": GET.replace(b"/livez", b"livez") + b"\r\n",
    "a star for GET": GET.replace(b"/livez", b"*") + b"\r\n",
    "a target beyond ASCII": GET.replace(b"livez", b"liv\xc3\xa9z") + b"\r\n",
    # Whom it is for.
    "no Host": b"GET /livez HTTP/1.1\r\n\r\n",
    "an empty Host": b"GET /livez HTTP/1.1\r\nHost:\r\n\r\n",
    "two Hosts that differ": GET + b"Host: other\r\n\r\n",
    "two Hosts alike": GET + b"Host: h\r\n\r\n",
    "a Host with a path": GET.replace(b"Host: h", b"Host: h/x") + b"\r\n",
    "a Host with a user": GET.replace(b"Host: h", b"Host: a@h") + b"\r\n",
    "two Hosts in one": GET.replace(b"Host: h", b"Host: h, other") + b"\r\n",
    "a URL of another host": GET.replace(b"/livez", b"http://other/livez") + b"\r\n",
    "a URL with a user": GET.replace(b"/livez", b"http://a@h/livez") + b"\r\n",
    "a URL of another scheme": GET.replace(b"/livez", b"ftp://h/livez") + b"\r\n",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_it_is_400_and_the_connection_closed(server: Server, shape: bytes) -> None:
    assert refusal(server.url, shape) == (400, "malformed_request")


def test_a_flood_of_trailers_is_431(server: Server) -> None:
    flood = put(CHUNKED, CHUNKS[:-2] + b"X: y\r\n" * 200_000 + b"\r\n")
    assert refusal(server.url, flood) == (431, "headers_too_large")


def test_a_length_by_another_name_is_none(server: Server) -> None:
    sent = put(b"Content_Length: 2\r\n", b"{}")
    assert refusal(server.url, sent) == (400, "malformed_json")


def test_none_of_it_was_taken_for_a_request(server: Server) -> None:
    with Raw(server.url) as raw:
        raw.send(SHAPES["TE.CL"] + KEPT, KEPT)
        assert [one.status for one in raw.answers()] == [400]
    assert records(server) == ["kept"]


def test_cut_anywhere_it_is_the_same(server: Server) -> None:
    for name in ("CL.TE", "trailer Authorization", "TE: gzip, chunked", "two Hosts alike"):
        shape = SHAPES[name]
        for at in range(1, 250, 50):
            assert refusal(server.url, shape[:at], shape[at:], pause_s=0.005)[0] == 400
    assert records(server) == ["kept"]


@pytest.mark.parametrize(
    "shape",
    [
        put(b"tRANSFER-eNCODING: \t CHUNKED \r\n", CHUNKS),
        put(b"content-length: \t 2 \r\n", b"{}"),
        put(CHUNKED, b"2;a=b\r\n{}\r\n0;x\r\nServer-Timing: y\r\n\r\n"),
        put(CHUNKED, b"1\r\n{\r\n0000001\r\n}\r\n0\r\n\r\n"),
        b"\r\n" + put(b"Content-Length: 2\r\n", b"{}"),
    ],
    ids=["odd case and blanks", "blanks", "extensions and trailers", "small chunks", "empty line"],
)
def test_what_is_odd_but_clear_is_taken_and_so_is_what_follows(
    server: Server, shape: bytes
) -> None:
    with Raw(server.url) as raw:
        shape = shape.replace(b"records/kept", b"records/smuggled")
        raw.send(shape)
        first, second = raw.answer(), raw.answer()
        assert first is not None
        assert second is not None
        assert (first.status, second.status) == (202, 202)
        assert raw.is_open()
    assert records(server) == ["kept"]


@pytest.mark.parametrize("target", [b"http://h/livez", b"HTTP://H/livez", b"https://h/livez"])
def test_a_url_of_the_host_itself_is_taken(server: Server, target: bytes) -> None:
    with Raw(server.url) as raw:
        assert raw.send(GET.replace(b"/livez", target) + b"\r\n").is_open()


def test_the_head_of_http_1_0_needs_no_host(server: Server) -> None:
    with Raw(server.url) as raw:
        (answer,) = raw.send(b"GET /livez HTTP/1.0\r\n\r\n").answers()
        assert answer.status == 200
