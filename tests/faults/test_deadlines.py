"""Requests keep their deadlines while MongoDB hangs, and what is cached is served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.asgi import Client, Reply, application_of
from tests.support.house import House
from tests.support.servers.mongodb import MongoDB

JSON = ("content-type", "application/json")
RECORDS = "/v1/collections/c/records"
DEADLINE_MS = 500
LATE_S = 0.25
"""For the net, and for a machine that is busy."""


@pytest.fixture
async def house(tmp_path: Path, mongodb: MongoDB) -> AsyncIterator[House]:
    house = House(tmp_path, store_url=mongodb.url, deadline_ms=DEADLINE_MS)
    await house.start()
    await house.collection("c")
    yield house
    await house.stop()


async def timed(client: Client, path: str, *headers: tuple[str, str]) -> tuple[Reply, float]:
    began = time.monotonic()
    reply = await client("GET", path, headers=headers)
    return reply, time.monotonic() - began


async def test_no_read_outlasts_its_deadline_and_what_is_known_is_served(
    house: House, mongodb: MongoDB
) -> None:
    client = Client(application_of(house))
    write = await client("PUT", f"{RECORDS}/a?ack=applied", b'{"n":1}', [JSON])
    assert write.status in (201, 202)
    receipt = ("penstock-receipt", write.headers["penstock-receipt"])
    assert (await timed(client, f"{RECORDS}/a", receipt))[0].status == 200
    (node,) = mongodb.nodes
    node.pause()
    try:
        # Longer than the collection counts as known: the catalog is asked, and hangs too.
        await asyncio.sleep(1.1)
        asked = {
            f"{RECORDS}/a": (("cache-control", "no-cache"),),
            f"{RECORDS}/unknown": (),
            RECORDS: (),
            f"{RECORDS}?count=estimated": (receipt,),
            f"/v1/receipts/{write.json['receipt']}": (),
            "/v1/collections/none/records/a": (),
        }
        for hurry in ((), (("penstock-timeout", "150"),)):
            most_s = (150 if hurry else DEADLINE_MS) / 1000 + LATE_S
            found = await asyncio.gather(
                *(timed(client, path, *headers, *hurry) for path, headers in asked.items())
            )
            for path, (reply, taken) in zip(asked, found, strict=True):
                assert reply.status == 503, path
                assert reply.json["code"] in ("deadline_exceeded", "store_unavailable"), path
                assert taken < most_s, path
        cached, taken = await timed(client, f"{RECORDS}/a")
        assert (cached.status, cached.json["data"]) == (200, {"n": 1})
        assert taken < LATE_S
    finally:
        node.resume()
