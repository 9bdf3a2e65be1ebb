"""Pages of other origins: none but those that are listed, and then with a key all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.asgi import Client, application_of
from tests.support.house import House

from penstock.config import Configuration
from penstock.errors import ConfigurationError

OURS = "https://console.example.com"
RECORDS = "/v1/collections/c/records"
ASKS = ("access-control-request-method", "PUT")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    house = House(tmp_path, cors_origins=f"{OURS}, http://localhost:3000")
    await house.start()
    await house.collection("c")
    yield Client(application_of(house))
    await house.stop()


def marks(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("access-control")}


async def test_a_listed_origin_may_ask_what_it_may_send_without_a_key(client: Client) -> None:
    client.key = "none"
    reply = await client("OPTIONS", f"{RECORDS}/a", headers=[("origin", OURS), ASKS])
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == OURS
    assert reply.headers["access-control-allow-methods"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
    assert "authorization" in reply.headers["access-control-allow-headers"]
    assert reply.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example.com", "null", f"{OURS}.evil.com", f"{OURS}:444", OURS.upper(), "*", ""],
)
async def test_another_origin_is_told_nothing(client: Client, origin: str) -> None:
    client.key = "none"
    preflight = await client("OPTIONS", f"{RECORDS}/a", headers=[("origin", origin), ASKS])
    assert preflight.status == 401
    client.key = Client(client.application).key
    reply = await client("GET", RECORDS, headers=[("origin", origin)])
    assert reply.status == 200
    for one in (preflight, reply):
        assert marks(one.headers) == {}
        assert one.headers["vary"] == "origin"


async def test_answers_say_who_may_read_them_problems_and_streams_too(client: Client) -> None:
    for target, status in ((RECORDS, 200), (f"{RECORDS}/none", 404), (f"{RECORDS}:export", 200)):
        reply = await client("GET", target, headers=[("origin", "http://localhost:3000")])
        assert reply.status == status
        assert reply.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert "penstock-receipt" in reply.headers["access-control-expose-headers"]
    client.key = "wrong-0123456789abc"
    reply = await client("GET", RECORDS, headers=[("origin", OURS)])
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (401, OURS)


async def test_it_is_off_by_default(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.start()
    client = Client(application_of(house))
    for method, headers in (("GET", [("origin", OURS)]), ("OPTIONS", [("origin", OURS), ASKS])):
        reply = await client(method, "/v1/collections", headers=headers)
        assert marks(reply.headers) == {}
        assert "vary" not in reply.headers
    await house.stop()


@pytest.mark.parametrize("origins", ["*", "null", "example.com", f"{OURS}/", "https://a@b"])
def test_what_is_no_origin_is_an_error_of_configuration(origins: str) -> None:
    with pytest.raises(ConfigurationError, match=r"PENSTOCK_CORS_ORIGINS: .* is no origin"):
        Configuration.read(cors_origins=origins)
