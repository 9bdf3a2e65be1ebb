"""Penstock-Timeout: how long a caller would wait, and that nothing takes longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.asgi import Client, application_of
from tests.support.house import House

from penstock.errors import DeadlineExceeded
from penstock.query.coalesce import Coalescer

JSON = ("content-type", "application/json")
RECORDS = "/v1/collections/c/records"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, deadline_ms=400, max_deadline_ms=1_200)
    await house.start()
    await house.collection("c")
    yield house
    await house.stop()


class Asked:
    """Stands in for the query service: notes how much time it is given, and does not answer."""

    def __init__(self, house: House) -> None:
        self._clock = house.engines.clock
        self.left: list[float] = []

    async def fetch(self, *_: Any, deadline: float, **__: Any) -> Any:
        self.left.append(deadline - self._clock.monotonic())
        await asyncio.Event().wait()

    page = fetch

    async def reach(self, _target: Any, _receipts: Any, deadline: float) -> None:
        self.left.append(deadline - self._clock.monotonic())
        raise DeadlineExceeded


def timeout(milliseconds: object) -> tuple[str, str]:
    return ("penstock-timeout", str(milliseconds))


async def test_less_time_is_kept_and_passed_on(house: House) -> None:
    asked = Asked(house)
    client = Client(application_of(house, query=asked))
    loop = asyncio.get_running_loop()
    for milliseconds in (1, 100):
        began = loop.time()
        reply = await client("GET", f"{RECORDS}/a", headers=[timeout(milliseconds)])
        assert (reply.status, reply.json["code"]) == (503, "deadline_exceeded")
        assert asked.left[-1] <= milliseconds / 1000 <= loop.time() - began < 0.4


@pytest.mark.parametrize(
    ("method", "path", "given", "expected"),
    [
        ("GET", f"{RECORDS}/a", None, 400),
        ("GET", f"{RECORDS}/a", 1_200, 400),
        ("GET", RECORDS, None, 400),
        ("GET", RECORDS, 1_000, 1_000),
        ("GET", RECORDS, 300, 300),
        ("POST", f"{RECORDS}:aggregate", 1_200, 1_200),
        ("GET", f"{RECORDS}:export", 1_100, 1_100),
    ],
)
async def test_more_time_is_given_where_it_may_take_longer_and_nowhere_else(
    house: House, method: str, path: str, given: int | None, expected: int
) -> None:
    asked = Asked(house)
    body = b'{"measures":{"n":"count"}}' if method == "POST" else b""
    headers = [JSON] if body else []
    if given is not None:
        headers.append(timeout(given))
    client = Client(application_of(house, query=asked))
    task = asyncio.create_task(client(method, path, body, headers))
    while not asked.left:  # noqa: ASYNC110  # it tells no one
        await asyncio.sleep(0.001)
    task.cancel()
    await task
    assert expected / 1000 - 0.1 < asked.left[0] <= expected / 1000


@pytest.mark.parametrize(
    "value", ["", "0", "-1", "1.5", "1e2", "01", "1201", "9" * 30, "5s", "1, 2", "\u00b2"]
)
@pytest.mark.parametrize("path", [f"{RECORDS}/a", RECORDS, "/livez"])
async def test_what_is_no_time_is_400_and_touches_nothing(
    house: House, value: str, path: str
) -> None:
    client = Client(application_of(house))
    reply = await client("GET", path, headers=[timeout(value)])
    assert (reply.status, reply.json["code"]) == (400, "invalid_header")
    assert "from 1 to 1200" in reply.json["detail"]
    reply = await client("PUT", f"{RECORDS}/a", b"{}", [JSON, timeout(value)])
    assert (reply.status, reply.json["code"]) == (400, "invalid_header")
    assert (await client("GET", f"{RECORDS}/a")).status == 404


async def test_the_key_comes_before_the_time(house: House) -> None:
    client = Client(application_of(house), key="wrong")
    assert (await client("GET", RECORDS, headers=[timeout("x")])).status == 401


async def test_a_write_counts_its_time_from_when_its_body_is_there(house: House) -> None:
    client = Client(application_of(house))
    reply = await client("PUT", f"{RECORDS}/a", b"{}", [JSON, timeout(399)])
    assert reply.status == 202
    waiting = await client("PUT", f"{RECORDS}/b?ack=applied", b"{}", [JSON, timeout(399)])
    assert waiting.status in (201, 202)


async def test_those_who_ask_together_wait_as_long_as_the_most_patient_of_them() -> None:
    loads: list[tuple[list[str], float]] = []

    async def load(keys: Any, deadline: float) -> dict[str, str]:
        loads.append((list(keys), deadline))
        return {key: key.upper() for key in keys}

    coalescer = Coalescer(load, 10)
    asked = [coalescer.get("a", 3.0), coalescer.get("b", 5.0), coalescer.get("a", 4.0)]
    assert await asyncio.gather(*asked) == ["A", "B", "A"]
    assert await coalescer.get("a", 1.0) == "A"
    assert loads == [(["a", "b"], 5.0), (["a"], 1.0)]
