"""What is secret, or anybody's data, is in no line that a process writes, whatever goes wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from tests.support.server import Server

from penstock.api.routes import ROUTES
from penstock.config import Configuration
from penstock.errors import ConfigurationError
from penstock.wiring import open_engines

SECRET = "hunter2-7f3a9c51e8"
NOWHERE = "127.0.0.1:1"
"""Nobody listens there."""

HEADERS = (
    f"Authorization: Bearer {SECRET}",
    f"Authorization: Basic {SECRET}",
    f"Cookie: session={SECRET}",
    f"X-Request-Id: {SECRET} {SECRET}",
)
OWN = (
    f"Idempotency-Key: {SECRET}",
    f"If-Match: {SECRET}",
    f"Penstock-Receipt: {SECRET}",
    f"traceparent: {SECRET}",
    f"Content-Type: {SECRET}",
    f"Content-Encoding: {SECRET}",
)
BODIES = (
    f'{{"password":"{SECRET}"}}',
    f'{{"password":"{SECRET}"',
    f'{{"op":"{SECRET}","id":"{SECRET}","data":{{"{SECRET}":1e400}}}}\n',
    f'{{"filter":{{"data.x":{{"${SECRET}":"{SECRET}"}}}}}}',
    f'{{"schema":{{"type":"{SECRET}"}}}}',
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One whose cache and collector of traces are away, and that says all it can."""
    one = Server(
        tmp_path / "data",
        PENSTOCK_ADMIN_KEY=f"admin-{SECRET}",
        PENSTOCK_SECRET=f"signs-{SECRET}",
        PENSTOCK_CACHE_URL=f"redis://user:{SECRET}@{NOWHERE}",
        PENSTOCK_TRACES="on",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://user:{SECRET}@{NOWHERE}",
        OTEL_EXPORTER_OTLP_HEADERS=f"authorization={SECRET}",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_BSP_SCHEDULE_DELAY="100",
        PENSTOCK_LOG_LEVEL="debug",
        PENSTOCK_ACCESS_LOG="on",
        PENSTOCK_SLOW_QUERY_MS="1",
    )
    one.start("tests.support.defective")
    yield one
    one.close()


def test_no_line_tells_what_a_failing_request_held(server: Server) -> None:
    key = f"Authorization: Bearer admin-{SECRET}"
    statuses = {
        status
        for request in _requests(key)
        for status in [_status(server.url, request)]
        if status is not None
    }
    server.stop()
    output = server.log.read_text()
    assert SECRET not in output
    assert {200, 202, 400, 401, 404, 405, 409, 415, 431} <= statuses, "every kind was driven"
    events = {json.loads(line)["event"] for line in output.splitlines()}
    assert {"request", "cache_left_alone", "entry_put_aside", "library"} <= events


def _requests(key: str) -> Iterator[bytes]:
    records = "/v1/collections/c/records"
    yield _request("PUT", "/v1/collections/c", [key], '{"schema":{"required":["password"]}}')
    for route in ROUTES:
        # What is about ids and names of ours is audited: it says which.
        end = "" if hasattr(route.handler, "__wrapped__") else f"-{SECRET}"
        path = route.pattern.replace("{collection}", "c").replace("{", "").replace("}", end)
        for header in HEADERS:
            yield _request(route.method, path, [header], "")
        for header in OWN:
            yield _request(route.method, path, [key, header], BODIES[0])
        for body in BODIES:
            yield _request(route.method, path, [key], body)
        yield _request(route.method, f"{path}?{SECRET}={SECRET}", [key], "")
        yield _request("PATCH", f"{path}/{quote(SECRET)}%", [key], "")
    poison = f'{{"password":"{SECRET}","poison":1}}'
    yield _request("PUT", f"{records}/p-{SECRET}?ack=applied", [key], poison)
    yield _request("GET", f"{records}?filter=%7B%22data.password%22%3A%22{SECRET}%22%7D", [key], "")
    yield f"GET /{SECRET} HTTP/9.9\r\n{SECRET}\r\n\r\n".encode()
    yield f"GET / HTTP/1.1\r\nHost: h\r\nX: {SECRET * 5000}\r\n\r\n".encode()


def _request(method: str, target: str, headers: list[str], body: str) -> bytes:
    given = {"content-type": "application/json"}
    given |= {name.lower(): value for name, _, value in (one.partition(": ") for one in headers)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{lines}{length}\r\n"
    return (head + body).encode()


def _status(url: str, request: bytes) -> int | None:
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), 10) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split()[1]) if answer else None


@pytest.mark.parametrize(
    "settings",
    [
        {"secret": SECRET[:10]},
        {"admin_key": SECRET[:15]},
        {"log_url": f"kafka://user:{SECRET}@"},
        {"log_url": f"kafka:user:{SECRET}@{NOWHERE}"},
        {"log_url": f"kafka://user:{SECRET}@{NOWHERE}?mechanism={SECRET}"},
        {"log_url": f"{SECRET}://{NOWHERE}"},
        {"store_url": f"mongodb://user:{SECRET}@"},
        {"store_url": f"mongodb://user:{SECRET}:x@{NOWHERE}"},
        {"store_url": f"mongodb:user:{SECRET}@{NOWHERE}"},
        {"cache_url": f"redis://user:{SECRET}@a,b"},
        {"cache_url": f"redis+cluster://user:{SECRET}@a:{SECRET}"},
        {"cache_url": f"http://user:{SECRET}@{NOWHERE}"},
    ],
    ids=str,
)
def test_no_sentence_tells_what_a_wrong_setting_held(
    tmp_path: Path, settings: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_engines(Configuration.read(data=tmp_path, **settings))
    told = capfd.readouterr()
    assert SECRET[:10] not in str(raised.value) + told.out + told.err
