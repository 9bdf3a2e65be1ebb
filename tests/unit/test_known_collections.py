"""What is known of a collection is asked for again by one request, not by all of a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import HandClock
from tests.support.house import ADMIN, House

from penstock.access.access import Access
from penstock.errors import NotFound
from penstock.records.collection import Collection, Settings


class SlowCatalog:
    """Counts what it is asked, and answers when it is let."""

    def __init__(self, house: House) -> None:
        self._catalog = house.engines.catalog
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def get(self, *args: Any) -> Collection | None:
        self.asked += 1
        await self.may_answer.wait()
        return await self._catalog.get(*args)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.start(worker=False)
    await house.access.put_collection(ADMIN, "c", Settings())
    yield house
    await house.stop()


async def test_when_it_ends_one_asks_and_the_others_of_that_moment_make_do_with_it(
    house: House,
) -> None:
    clock, catalog = HandClock(), SlowCatalog(house)
    access = Access(house.parts.authentication, catalog, clock)  # type: ignore[arg-type]  # of a catalog, it needs `get`
    catalog.may_answer.set()
    await access.target(ADMIN, "c")
    assert catalog.asked == 1

    catalog.may_answer.clear()
    clock.advance(850)
    asking = asyncio.create_task(access.target(ADMIN, "c"))
    await asyncio.sleep(0)
    for _ in range(20):
        assert (await access.target(ADMIN, "c")).collection.name == "c"
    assert catalog.asked == 2

    # Long after it was known, it is known no more, to nobody.
    clock.advance(10_000)
    late = [asyncio.create_task(access.target(ADMIN, "c")) for _ in range(3)]
    await asyncio.sleep(0)
    assert catalog.asked == 5
    await house.engines.catalog.drop("default", "c", 1)
    catalog.may_answer.set()
    for one in (asking, *late):
        with pytest.raises(NotFound):
            await one
    with pytest.raises(NotFound):
        await access.target(ADMIN, "c")
