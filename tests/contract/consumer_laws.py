"""The laws of `ports.log.Consumer`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from tests.contract.logs import (
    SOON_S,
    Logs,
    Start,
    after,
    append,
    everything,
    numbered,
    operation,
    polled,
    read,
    sequences,
)

from penstock.errors import LogDiverged
from penstock.records.position import Partition, Position, partition_of


class ConsumerLaws:
    """To be inherited beside a fixture `logs`, a `Logs`."""

    async def test_each_entry_comes_once_and_in_order(self, logs: Logs) -> None:
        log = await logs.fresh()
        answers = [
            where
            for number in range(30)
            for where in await append(log, [operation(f"{number}-{one}") for one in range(10)])
        ]
        for limit in (1, 7, 1000):
            consumer = log.consumer(after())
            found = sequences(await read(consumer, 300, limit))
            assert await polled(consumer) == []
            assert found == {
                partition: sorted(one for one in answers if partition_of(one) == partition)
                for partition in {partition_of(one) for one in answers}
            }
            await consumer.close()

    async def test_a_poll_brings_about_as_many_as_asked_for(self, logs: Logs) -> None:
        log = await logs.fresh()
        for number in range(20):
            await append(log, numbered("r", range(number * 5, number * 5 + 5)))
        consumer = log.consumer(after())
        assert 1 <= len(await polled(consumer, 10, SOON_S)) <= 20
        await consumer.close()

    async def test_reading_begins_right_after_the_assigned_position(self, logs: Logs) -> None:
        log = await logs.fresh()
        answers = []
        for number in range(4):
            answers += await append(log, numbered("r", range(number * 5, number * 5 + 5)))
        for reopen in (False, True):
            log = await logs.reopened(log) if reopen else log
            for known in (0, 3, 4, 5, 12, 18):
                consumer = log.consumer(after(answers[known]))
                entries = await read(consumer, 19 - known)
                assert [one.position for one in entries] == answers[known + 1 :]
                assert [one.operation.data for one in entries] == [
                    b"%d" % number for number in range(known + 1, 20)
                ]
                await consumer.close()

    async def test_nothing_comes_after_the_last_position_until_something_is_appended(
        self, logs: Logs
    ) -> None:
        log = await logs.fresh()
        answers = await append(log, numbered("r", range(3)))
        consumer = log.consumer(after(answers[-1]))
        assert await polled(consumer) == []
        (where,) = await append(log, [operation()])
        assert [one.position for one in await read(consumer, 1)] == [where]
        await consumer.close()

    async def test_a_waiting_poll_ends_when_something_is_appended(self, logs: Logs) -> None:
        log = await logs.fresh()
        (known,) = await append(log, [operation()])
        consumer = log.consumer(after(known))
        assert await polled(consumer) == []
        for number in range(20):
            waiting = asyncio.create_task(polled(consumer, 1000, SOON_S))
            await asyncio.sleep(0.001 * (number % 3))
            (where,) = await append(log, [operation()])
            async with asyncio.timeout(SOON_S / 4):
                assert [one.position for one in await waiting] == [where]
        await consumer.close()

    async def test_a_poll_waits_as_long_as_it_was_told_and_no_longer(self, logs: Logs) -> None:
        log = await logs.fresh()
        consumer = log.consumer(after())
        await polled(consumer)
        start = time.monotonic()
        assert await polled(consumer, 1000, 0.2) == []
        assert 0.15 < time.monotonic() - start < SOON_S
        await consumer.close()

    async def test_reading_while_appending_leaves_no_gap(self, logs: Logs) -> None:
        log = await logs.fresh()
        answers: list[Position] = []

        async def write(record_id: str) -> None:
            for count in range(1, 25):
                answers.extend(await append(log, numbered(record_id, range(count))))

        writing = asyncio.gather(*[write(f"r{number}") for number in range(8)])
        consumer = log.consumer(after())
        entries = await read(consumer, 8 * sum(range(1, 25)), limit=40)
        await writing
        found = sequences(entries)
        assert sum(len(one) for one in found.values()) == len(answers)
        for partition, positions in found.items():
            assert positions == sorted(one for one in answers if partition_of(one) == partition)
        await consumer.close()

    async def test_partitions_are_assigned_once_and_within_poll(self, logs: Logs) -> None:
        log = await logs.fresh()
        await append(log, [operation(f"r{number}") for number in range(20)])
        assigned: list[Partition] = []

        async def assign(partitions: Sequence[Partition]) -> Start:
            assigned.extend(partitions)
            return dict.fromkeys(partitions)

        consumer = log.consumer(assign)
        assert assigned == []
        await read(consumer, 20)
        await polled(consumer)
        assert sorted(assigned) == sorted(await log.bounds())
        await consumer.close()

    async def test_what_assign_raises_comes_out_of_poll_and_nothing_is_read(
        self, logs: Logs
    ) -> None:
        log = await logs.fresh()
        (where,) = await append(log, [operation()])

        async def assign(_: Sequence[Partition]) -> Start:
            raise LogDiverged("another log")

        consumer = log.consumer(assign)
        with pytest.raises(LogDiverged):
            await read(consumer, 1)
        await consumer.close()
        assert [one.position for one in await everything(log, 1)] == [where]

    async def test_a_partition_that_is_not_to_be_read_yet_is_asked_about_again(
        self, logs: Logs
    ) -> None:
        log = await logs.fresh()
        answers = await append(log, numbered("r", range(3)))
        held = partition_of(answers[0])
        asked = 0

        async def assign(partitions: Sequence[Partition]) -> Start:
            nonlocal asked
            asked += held in partitions
            return {one: None for one in partitions if one != held or asked > 2}

        consumer = log.consumer(assign)
        assert await polled(consumer) == []
        assert [one.position for one in await read(consumer, 3)] == answers
        assert asked == 3
        await consumer.close()

    async def test_the_very_start_is_what_is_left_and_nothing_is_skipped_after_a_position(
        self, logs: Logs
    ) -> None:
        log = await logs.fresh()
        answers = []
        for number in range(5):
            answers += await append(log, numbered("r", range(number * 2, number * 2 + 2)))
        await logs.trimmed(log, answers[6], 2**50)
        for reopen in (False, True):
            log = await logs.reopened(log) if reopen else log
            consumer = log.consumer(after())
            assert [one.position for one in await read(consumer, 4)] == answers[6:]
            await consumer.close()
            consumer = log.consumer(after(answers[1]))
            with pytest.raises(LogDiverged):
                await read(consumer, 1)
            await consumer.close()

    async def test_what_a_consumer_commits_is_not_where_the_next_one_starts(
        self, logs: Logs
    ) -> None:
        log = await logs.fresh()
        answers = await append(log, numbered("r", range(10)))
        consumer = log.consumer(after())
        await read(consumer, 10)
        await consumer.commit({partition_of(answers[0]): answers[-1]})
        await consumer.close()
        consumer = log.consumer(after(answers[3]))
        assert [one.position for one in await read(consumer, 6)] == answers[4:]
        await consumer.close()
