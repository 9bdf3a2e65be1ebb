"""The budget of what is not applied: its age counts over restarts, and bulks keep it too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.asgi import Client, application_of
from tests.support.clock import HandClock
from tests.support.house import House

from penstock.config import Configuration
from penstock.errors import ConfigurationError
from penstock.wiring import serve

HOUR_MS = 3_600_000
RECORDS = "/v1/collections/c/records"
JSON = ("content-type", "application/json")
LINES = ("content-type", "application/x-ndjson")


async def refused(client: Client) -> list[str]:
    """The codes by which a write and a bulk are refused; empty for one that is taken."""
    write = await client("PUT", f"{RECORDS}/b", b"{}", [JSON])
    bulk = await client("POST", f"{RECORDS}:bulk", b'{"data":{}}\n', [LINES])
    codes = []
    for reply in (write, bulk):
        codes.append(reply.json["code"] if reply.status == 503 else "")
        assert reply.status in (200, 202, 503)
        assert reply.status != 503 or reply.headers["retry-after"] == "5"
    return codes


async def test_what_is_not_applied_in_time_stops_writes_and_bulks_also_after_a_restart(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    house = House(tmp_path, clock, backlog_ms=HOUR_MS, bulk_lag_ms=HOUR_MS)
    await house.start(worker=False)
    await house.collection("c")
    assert await refused(Client(application_of(house))) == ["", ""]
    clock.advance(HOUR_MS - 1_000)
    assert await refused(Client(application_of(house))) == ["", ""]
    clock.advance(2_000)
    assert await refused(Client(application_of(house))) == ["backlog_full"] * 2

    await house.crash()
    await house.start(worker=False)
    assert house.parts.backlog.lag == pytest.approx(3_601, abs=5)
    assert await refused(Client(application_of(house))) == ["backlog_full"] * 2
    house.start_worker()
    async with asyncio.timeout(10):
        while house.parts.backlog.lag:  # noqa: ASYNC110  # it tells no one
            await asyncio.sleep(0.01)
    assert await refused(Client(application_of(house))) == ["", ""]
    await house.stop()


async def test_what_was_applied_before_a_restart_is_no_backlog(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.start()
    await house.collection("c")
    client = Client(application_of(house))
    assert (await client("PUT", f"{RECORDS}/a?ack=applied", b"{}", [JSON])).status == 201
    await house.crash()
    await house.start(worker=False)
    assert house.parts.backlog.lag == 0.0
    await house.stop()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"backlog_ms": 1_001, "log_retention_ms": 1_000}, "PENSTOCK_BACKLOG_MS"),
        ({"ingest_bytes": 1_000, "max_body_bytes": 1_001}, "PENSTOCK_INGEST_BYTES"),
    ],
)
def test_budgets_that_cannot_hold_are_refused_at_the_start(
    tmp_path: Path, settings: dict[str, int], named: str
) -> None:
    configuration = Configuration.read(data=tmp_path, **settings)
    with pytest.raises(ConfigurationError, match=named):
        serve(configuration, lambda *_: None)
    assert list(tmp_path.iterdir()) == []
