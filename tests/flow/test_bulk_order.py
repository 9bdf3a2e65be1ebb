"""A bulk that meets a failing log, and is repeated: each record ends as its last line has it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.house import House

from penstock.errors import OutcomeUnknown, PenstockError, Unavailable
from penstock.ports.log import Appended, Log
from penstock.records.collection import Target
from penstock.records.operation import Operation

RECORDS = 5
LINES = 60
FAILURES = 20
MOST_TRIES = 200


class FailingLog:
    """Passes on to a log, now and then the first operations only, and answers late.

    Of those it passes on, it may say that it does not know.
    """

    def __init__(self, log: Log, chance: random.Random) -> None:
        self._log = log
        self._chance = chance
        self.failed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, operations: Sequence[Operation], deadline: float) -> list[Appended]:
        count = len(operations)
        fails = self.failed < FAILURES and self._chance.random() < 0.4
        passed = self._chance.randrange(count + 1) if fails else count
        known = self._chance.randrange(passed + 1) if passed < count else passed
        answers: list[Appended] = []
        if passed:
            answers += await self._log.append(operations[:passed], deadline)
        await asyncio.sleep(self._chance.random() * 0.003)
        answers[known:] = [OutcomeUnknown("injected")] * (passed - known)
        answers += [Unavailable("log_unavailable")] * (count - passed)
        self.failed += known < count
        return answers


async def groups(lines: Sequence[bytes], chance: random.Random) -> AsyncIterator[Sequence[bytes]]:
    place = 0
    while place < len(lines):
        size = chance.randrange(1, 9)
        yield lines[place : place + size]
        place += size


async def until_taken(house: House, target: Target, lines: list[bytes], seed: int) -> str:
    """Repeat the bulk under its key until it comes to its end; its receipt."""
    for attempt in range(MOST_TRIES):
        bulk = house.parts.ingest.bulk(target, f"key-{seed}")
        try:
            async for _ in bulk.run(groups(lines, random.Random(1000 * seed + attempt))):
                pass
        except PenstockError:
            continue
        assert bulk.summary.refused == 0
        assert bulk.summary.receipt is not None
        return bulk.summary.receipt
    raise AssertionError("the bulk never ended")


@pytest.mark.parametrize("seed", range(25))
async def test_a_bulk_that_is_repeated_until_it_is_taken_ends_each_record_as_its_last_line(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    logs = []
    house = House(tmp_path / "data")

    def failing(log: Log) -> Any:
        logs.append(FailingLog(log, chance))
        return logs[-1]

    house.between = failing
    await house.start()
    try:
        target = await house.collection("c")
        ids = [f"r{chance.randrange(RECORDS)}" for _ in range(LINES)]
        lines = [
            json.dumps({"id": one, "data": {"n": number}}).encode()
            for number, one in enumerate(ids)
        ]
        receipt = await until_taken(house, target, lines, seed)

        receipts = [house.parts.receipts.read(receipt, "default")]
        last = {one: number for number, one in enumerate(ids)}
        for record_id, number in last.items():
            found = await house.parts.query.fetch(
                target, record_id, receipts, fresh=True, deadline=house.deadline()
            )
            assert json.loads(found.body)["data"] == {"n": number}
        assert logs[0].failed > 0
    finally:
        await house.crash()
