"""Appends to a broker that hangs for longer than they are kept: what gets there has no gap."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import count
from uuid import uuid4

from tests.contract.logs import SOON_S, append, deadline, everything, given, operation
from tests.support.servers.kafka import Kafka

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.kafka.address import settings_of
from penstock.adapters.kafka.log import KafkaLog
from penstock.errors import OutcomeUnknown, PenstockError
from penstock.ports.log import Appended
from penstock.records.operation import Operation

TIMEOUT_MS = 150
KEPT_S = 1.5
"""Ten times that: after it, an append is given up."""
HANGS = (0.5 * KEPT_S, 0.95 * KEPT_S, 1.1 * KEPT_S, 1.4 * KEPT_S)
RECORDS = 4
EACH = 20
EVERY_S = 0.02
DATA = b'{"pad":"%b"}' % (b"x" * 4_000)
"""Large enough that a few calls fill what the sockets hold for a broker that does not read."""

Call = tuple[Sequence[Operation], list[Appended]]


async def test_of_an_append_that_is_given_up_no_later_entry_is_there_without_the_earlier(
    kafka: Kafka,
) -> None:
    log = KafkaLog(
        settings_of(kafka.url),
        f"penstock-{uuid4().hex}",
        *(2, TIMEOUT_MS, 86_400_000, "classic", SystemClock()),
    )
    try:
        await taken(log)
        hanging = asyncio.create_task(hang(kafka))
        calls = await call_until(log, hanging)
        await taken(log)
        ends = (await log.bounds()).values()
        entries = await everything(log, sum(end for _, end in ends))
    finally:
        await log.close()

    found = {entry.operation.operation_id for entry in entries}
    assert len(found) == len(entries)
    lost = 0
    for operations, answers in calls:
        there = [one.operation_id in found for one in operations]
        for is_there, answer in zip(there, answers, strict=True):
            if not isinstance(answer, OutcomeUnknown):
                assert is_there is not isinstance(answer, PenstockError)
        for record in range(RECORDS):
            own = there[record::RECORDS]
            assert own == sorted(own, reverse=True)
        lost += there.count(False)
    assert lost > 0
    # An error keeps what it was raised in, so none is given twice.
    unknown = [one for _, answers in calls for one in answers if isinstance(one, OutcomeUnknown)]
    assert unknown
    assert len(set(map(id, unknown))) == len(unknown)


async def hang(kafka: Kafka) -> None:
    (broker,) = kafka.nodes
    for seconds in HANGS:
        await asyncio.sleep(random.uniform(0.3, 0.6))
        broker.pause()
        try:
            await asyncio.sleep(seconds)
        finally:
            broker.resume()


async def call_until(log: KafkaLog, done: asyncio.Task[None]) -> list[Call]:
    """Append without waiting for what was appended before."""
    calling = []
    for number in count():
        operations = [operation(f"r{place % RECORDS}", DATA) for place in range(RECORDS * EACH)]
        calling.append((operations, asyncio.create_task(log.append(operations, deadline()))))
        await asyncio.sleep(EVERY_S)
        if done.done():
            await done
            assert number > len(HANGS)
            return [(one, await answers) for one, answers in calling]
    raise AssertionError


async def taken(log: KafkaLog) -> None:
    """Wait until an append is taken again: those before it have been, or were given up."""
    async with asyncio.timeout(SOON_S):
        while not given(await log.append([operation()], deadline())):  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(EVERY_S)
    await append(log, [operation(f"r{place}") for place in range(RECORDS)])
