"""Over HTTPS, as a person and a browser meet it: the command line, and a real server process."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.raw import Raw
from tests.support.server import Server
from tests.support.servers.certificates import Authority
from tests.support.terminal import Terminal

LIVE = b"GET /livez HTTP/1.1\r\nHost: h\r\n"
AUTH = f"Authorization: Bearer {Server.KEY}\r\n".encode()
PUT = b"PUT /v1/collections/c HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n" + AUTH


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "ours")


@pytest.fixture(scope="module")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    certificate = authority.issue("server", "test")
    folder = tmp_path_factory.mktemp("tls")
    server = Server(folder / "data", PENSTOCK_TLS_CERT=str(certificate))
    server.context = ssl.create_default_context(cafile=authority.path)
    server.start()
    yield server
    server.stop()


def test_the_command_line_trusts_the_authority_that_it_is_told(
    secure: Server, authority: Authority, tmp_path: Path
) -> None:
    type_ = Terminal(tmp_path, secure.url)
    untrusted = type_("collections", "list")
    assert untrusted.code == 4
    assert "CERTIFICATE_VERIFY_FAILED" in untrusted.err
    assert type_("--ca", str(authority.path), "collections", "put", "c").code == 0
    type_.environment["PENSTOCK_CA"] = str(authority.path)
    assert "c" in type_("collections", "list").out.split()
    type_.environment["PENSTOCK_CA"] = str(tmp_path / "nothing.pem")
    assert type_("collections", "list").err.startswith("penstock: cannot use ")


def test_bodies_of_any_size_and_many_connections_come_through(secure: Server) -> None:
    value = b'{"schema":{"description":"' + b"x" * 50_000 + b'"}}'

    def put_and_get(number: int) -> list[int]:
        with Raw(secure.url, secure.context) as raw:
            named = PUT.replace(b"/c ", b"/c%d " % number)
            raw.send(named + b"Content-Length: %d\r\n\r\n" % len(value), value[:7], value[7:])
            raw.send(named.replace(b"PUT", b"GET") + b"Connection: close\r\n\r\n")
            return [one.status for one in raw.answers()]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(put_and_get, range(24))) == [[201, 200]] * 24


def test_a_request_that_is_none_is_told_so_and_closed(secure: Server) -> None:
    with Raw(secure.url, secure.context) as raw:
        answer = raw.send(LIVE + b"X : y\r\n\r\n").answer()
        assert answer is not None
        assert (answer.status, answer.headers["connection"]) == (400, "close")


def test_clients_that_leave_in_the_handshake_or_in_the_midst_leave_nothing_behind(
    secure: Server, authority: Authority
) -> None:
    def descriptors() -> int:
        return len(list(Path(f"/proc/{secure.pid}/fd").iterdir()))

    before = descriptors()
    for number in range(60):
        with Raw(secure.url, secure.context if number % 2 else None) as raw:
            raw.send(LIVE[: number % 40] if number % 2 else b"\x16\x03\x01\x00")
    untrusting = ssl.create_default_context()
    for _ in range(10):
        with pytest.raises(ssl.SSLError):
            Raw(secure.url, untrusting)
    with Raw(secure.url, secure.context) as raw:
        assert raw.is_open()
    assert descriptors() <= before + 5
