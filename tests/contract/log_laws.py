"""The laws of `ports.log`, for any adapter: nothing here assumes one partition or dense offsets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol
from uuid import uuid4

import pytest

from penstock.errors import PenstockError
from penstock.ports.log import Appended, Consumer, Log
from penstock.records.operation import Entry, Kind, Operation
from penstock.records.position import Partition, Position, partition_of

SOON_S = 20.0
ODD_IDS = [
    "a",
    "a/b",
    "$a.b",
    "'; --",
    '"',
    "\\",
    "%00",
    "é",
    "é",
    "🚰",
    "ﬀ",
    "x" * 512,
    "漢" * 170,
]


class Logs(Protocol):
    """Opens logs of the adapter that is held to the laws, and closes them after the test."""

    async def fresh(self) -> Log:
        """A log that holds nothing yet."""
        ...

    async def reopened(self, log: Log) -> Log:
        """The same log as another process finds it, after the one that had it open has ended."""
        ...

    async def trim(self, log: Log, before: Position, older_than: int) -> None:
        """Trim, and wait until what may go is gone, whoever removes it."""
        ...


def operation(record_id: str = "r", data: bytes = b"{}", **more: object) -> Operation:
    """A put under an operation id of its own, in a collection of its own unless told."""
    fields = {"collection_id": uuid4().hex[:16], "operation_id": f"p{uuid4().hex}"} | more
    return Operation(int(Kind.PUT), "t", record_id=record_id, data=data, **fields)  # type: ignore[arg-type]  # each is named by its caller


def several(count: int, record_id: str = "r") -> list[Operation]:
    return [operation(record_id, b"%d" % number, collection_id="c") for number in range(count)]


def deadline() -> float:
    return time.monotonic() + SOON_S


async def appended(log: Log, operations: Sequence[Operation]) -> list[Position]:
    """Append, and insist that all of it was."""
    answers = await log.append(operations, deadline())
    return [answer for answer in answers if not isinstance(answer, PenstockError)] or [
        pytest.fail(f"refused: {answers}")
    ]


def positions_in(answers: Sequence[Appended]) -> list[Position]:
    return [answer for answer in answers if not isinstance(answer, PenstockError)]


Starts = Callable[[Sequence[Partition]], Awaitable[Mapping[Partition, Position | None]]]


def after(*known: Position) -> Starts:
    """Assignments right after these positions; from the start in all other partitions."""

    async def assign(partitions: Sequence[Partition]) -> dict[Partition, Position | None]:
        start = {partition_of(one): one for one in known}
        return {partition: start.get(partition) for partition in partitions}

    return assign


async def read(consumer: Consumer, count: int, limit: int = 1000) -> list[Entry]:
    """So many entries, in the order in which they come."""
    entries: list[Entry] = []
    async with asyncio.timeout(SOON_S):
        while len(entries) < count:
            for slice_ in await consumer.poll(limit, 0.5):
                assert {partition_of(one.position) for one in slice_.entries} == {slice_.partition}
                entries += slice_.entries
    return entries


async def all_of(log: Log, count: int) -> list[Entry]:
    """What a new consumer reads from the very start: `count` entries, and then nothing more."""
    consumer = log.consumer(after())
    entries = await read(consumer, count) if count else []
    more = [one for slice_ in await consumer.poll(1000, 0.1) for one in slice_.entries]
    await consumer.close()
    return entries + more


def in_partitions(entries: Sequence[Entry]) -> dict[Partition, list[Position]]:
    found: dict[Partition, list[Position]] = {}
    for entry in entries:
        found.setdefault(partition_of(entry.position), []).append(entry.position)
    return found


class LogLaws:
    """To be inherited with a fixture `logs`, a `Logs`."""

    # What is appended.

    async def test_each_operation_has_one_answer_in_order_and_is_found_there(
        self, logs: Logs
    ) -> None:
        log = await logs.fresh()
        operations = [operation(one) for one in ODD_IDS]
        answers = await appended(log, operations)
        assert len(set(answers)) == len(operations)
        for where, asked in zip(answers, operations, strict=True):
            found = await log.entry(where)
            assert found is not None
            assert (found.position, found.operation) == (where, asked)

    async def test_every_field_and_byte_of_an_operation_comes_back(self, logs: Logs) -> None:
        log = await logs.fresh()
        asked = [
            operation(data=b"", kind_=None) if False else operation(data=b""),
            operation(data=b'{"$ref":1,"a.b":-0.0,"":"\xf0\x9f\x9a\xb0"}', revision=2**31),
            operation(data=b'{"a":"' + b"x" * 1_000_000 + b'"}'),
            operation(if_match="*", if_absent=True),
            operation(if_match="0" * 24),
        ]
        answers = await appended(log, asked)
        found = {one.position: one.operation for one in await all_of(log, len(asked))}
        assert [found[one] for one in answers] == asked
