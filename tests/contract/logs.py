"""What the laws of the log and of its consumers have in common."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from penstock.errors import PenstockError
from penstock.ports.log import Appended, Consumer, Log
from penstock.records.operation import Entry, Kind, Operation
from penstock.records.position import Partition, Position, partition_of

SOON_S = 20.0
"""How long anything may take that will certainly come."""


class Logs(Protocol):
    """Opens logs of the adapter that is held to the laws, and closes them after the test."""

    async def fresh(self) -> Log:
        """A log that never held anything."""
        ...

    async def reopened(self, log: Log) -> Log:
        """The same log as another process finds it, after the one that had it open has ended."""
        ...

    async def trimmed(self, log: Log, before: Position, older_than: int) -> None:
        """Trim, and wait until what may go is gone, whoever removes it."""
        ...


def operation(record_id: str = "r", data: bytes = b"{}", **more: Any) -> Operation:
    """A put under an operation id of its own."""
    fields: dict[str, Any] = {"collection_id": "c", "operation_id": f"p{uuid4().hex}"} | more
    return Operation(int(Kind.PUT), "t", record_id=record_id, data=data, **fields)


def numbered(record_id: str, numbers: range) -> list[Operation]:
    """Puts of one record, told apart by what they put."""
    return [operation(record_id, b"%d" % number) for number in numbers]


def deadline() -> float:
    return time.monotonic() + SOON_S


async def append(log: Log, operations: Sequence[Operation]) -> list[Position]:
    """The positions of all of them: none may be refused."""
    answers = await log.append(operations, deadline())
    assert len(answers) == len(operations)
    assert given(answers) == answers
    return given(answers)


def given(answers: Sequence[Appended]) -> list[Position]:
    return [answer for answer in answers if not isinstance(answer, PenstockError)]


def after(*known: Position) -> Callable[[Sequence[Partition]], Awaitable[Start]]:
    """Has each partition read right after these positions, and the others from their start."""
    start = {partition_of(one): one for one in known}

    async def assign(partitions: Sequence[Partition]) -> Start:
        return {partition: start.get(partition) for partition in partitions}

    return assign


Start = Mapping[Partition, Position | None]


async def read(consumer: Consumer, count: int, limit: int = 1000) -> list[Entry]:
    """At least so many entries, in the order in which they come."""
    entries: list[Entry] = []
    async with asyncio.timeout(SOON_S):
        while len(entries) < count:
            entries += await polled(consumer, limit, 0.5)
    return entries


async def polled(consumer: Consumer, limit: int = 1000, wait_s: float = 0.1) -> list[Entry]:
    entries: list[Entry] = []
    for slice_ in await consumer.poll(limit, wait_s):
        assert {partition_of(one.position) for one in slice_.entries} == {slice_.partition}
        entries += slice_.entries
    return entries


async def everything(log: Log, count: int) -> list[Entry]:
    """What a new consumer reads from the very start: `count` entries, then nothing for a while."""
    consumer = log.consumer(after())
    entries = await read(consumer, count)
    entries += await polled(consumer)
    await consumer.close()
    return entries


def sequences(entries: Sequence[Entry]) -> dict[Partition, list[Position]]:
    """The positions by partition, in the order in which they came."""
    found: dict[Partition, list[Position]] = {}
    for entry in entries:
        found.setdefault(partition_of(entry.position), []).append(entry.position)
    return found
