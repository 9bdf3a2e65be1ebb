"""The laws of `ports.log.Log`. Nothing here assumes one partition or offsets without holes."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

from tests.contract.logs import (
    SOON_S,
    Logs,
    after,
    append,
    deadline,
    everything,
    given,
    numbered,
    operation,
    polled,
    sequences,
)

from penstock.errors import DeadlineExceeded, OutcomeUnknown, Unavailable
from penstock.records.position import parse, partition_of, position

ODD_IDS = [
    "a", "a/b", "$a.b", "'; --", '"', "\\", "%00", "\u00e9", "e\u0301", "\U0001f6b0", "\ufb00",
    "x" * 512, "\u6f22" * 170,
]  # fmt: skip


class LogLaws:
    """To be inherited beside a fixture `logs`, a `Logs`."""

    async def test_each_operation_has_an_answer_and_stands_there(self, logs: Logs) -> None:
        log = await logs.fresh()
        operations = [operation(one) for one in ODD_IDS]
        answers = await append(log, operations)
        entries = [await log.entry(one) for one in answers]
        assert [entry and entry.position for entry in entries] == answers
        assert [entry and entry.operation for entry in entries] == operations

    async def test_every_field_and_byte_comes_back(self, logs: Logs) -> None:
        log = await logs.fresh()
        operations = [
            operation(data=b""),
            operation(data=b'{"$ref":-0.0,"a.b":1e308,"":"\xf0\x9f\x9a\xb0"}', revision=2**31),
            operation(data=b'{"a":"%b"}' % (b"x" * 1_000_000)),
            operation(if_match="*", if_absent=True),
            operation(if_match="0" * 24, collection_id="0123456789abcdef"),
            operation(trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ]
        answers = await append(log, operations)
        found = {entry.position: entry.operation for entry in await everything(log, 6)}
        assert found == dict(zip(answers, operations, strict=True))

    async def test_an_entry_has_the_time_at_which_it_was_appended(self, logs: Logs) -> None:
        log = await logs.fresh()
        before = time.time() * 1000
        (where,) = await append(log, [operation()])
        entry = await log.entry(where)
        assert entry is not None
        assert before - 1000 <= entry.time <= time.time() * 1000 + 1000

    async def test_there_is_no_entry_where_none_was_given(self, logs: Logs) -> None:
        log = await logs.fresh()
        (where,) = await append(log, [operation()])
        generation, partition, offset = parse(where)
        assert await log.entry(position(generation, partition, offset + 1000)) is None
        assert await log.entry(position(generation, partition + 1000, offset)) is None
        assert await log.entry(position(generation + 1000, partition, offset)) is None

    async def test_one_append_keeps_its_order_for_each_record(self, logs: Logs) -> None:
        log = await logs.fresh()
        mixed = [operation(f"r{number % 7}", b"%d" % number) for number in range(2000)]
        answers = await append(log, mixed)
        for record in range(7):
            own = answers[record::7]
            assert len({partition_of(one) for one in own}) == 1
            assert all(lower < higher for lower, higher in pairwise(own))

    async def test_what_was_answered_stands_before_what_is_sent_afterwards(
        self, logs: Logs
    ) -> None:
        log = await logs.fresh()

        async def one_by_one(record_id: str) -> None:
            answers = [
                where
                for number in range(20)
                for where in await append(log, [operation(record_id, b"%d" % number)])
            ]
            assert len({partition_of(one) for one in answers}) == 1
            assert all(lower < higher for lower, higher in pairwise(answers))

        await asyncio.gather(*[one_by_one(f"r{number}") for number in range(20)])

    async def test_appends_in_flight_together_have_positions_of_their_own(self, logs: Logs) -> None:
        log = await logs.fresh()
        groups = [numbered(f"r{number}", range(number % 5 + 1)) for number in range(300)]
        answers = await asyncio.gather(*[append(log, group) for group in groups])
        expected = {
            where: one
            for group, positions in zip(groups, answers, strict=True)
            for where, one in zip(positions, group, strict=True)
        }
        entries = await everything(log, len(expected))
        assert len(expected) == 900
        assert {entry.position: entry.operation for entry in entries} == expected
        assert len(entries) == len(expected)

    async def test_bounds_begin_at_0_and_enclose_what_was_appended(self, logs: Logs) -> None:
        log = await logs.fresh()
        assert {tuple(bounds) for bounds in (await log.bounds()).values()} == {(0, 0)}
        answers = await append(log, [operation(f"r{number}") for number in range(50)])
        bounds = await log.bounds()
        for where in answers:
            start, end = bounds[partition_of(where)]
            assert start == 0
            assert start <= parse(where).offset < end
        for partition, (_, end) in bounds.items():
            offsets = [parse(one).offset for one in answers if partition_of(one) == partition]
            assert end > 0 if offsets else end == 0

    # Deadlines, refusals, cancelled callers.

    async def test_nothing_is_appended_after_its_deadline(self, logs: Logs) -> None:
        log = await logs.fresh()
        late = numbered("r", range(3))
        answers = await log.append(late, time.monotonic() - 0.001)
        assert [type(one) for one in answers] == [DeadlineExceeded] * 3
        (where,) = await append(log, [kept := operation("r")])
        log = await logs.reopened(log)
        assert [one.operation for one in await everything(log, 1)] == [kept]
        assert (await everything(log, 1))[0].position == where

    async def test_one_that_is_late_is_no_harm_to_those_beside_it(self, logs: Logs) -> None:
        log = await logs.fresh()
        good = [operation(f"r{number}") for number in range(20)]
        appending = []
        for one in good:
            appending.append(log.append([one], deadline()))
            appending.append(log.append([operation("late")], time.monotonic() - 1))
        answers = await asyncio.gather(*appending)
        assert all(isinstance(one, DeadlineExceeded) for (one,) in answers[1::2])
        found = {entry.position: entry.operation for entry in await everything(log, 20)}
        assert found == dict(zip([one for (one,) in answers[::2]], good, strict=True))

    async def test_a_caller_that_goes_away_is_no_harm_to_those_beside_it(self, logs: Logs) -> None:
        log = await logs.fresh()
        tasks = [
            asyncio.create_task(append(log, numbered(f"r{number}", range(3))))
            for number in range(60)
        ]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        async with asyncio.timeout(SOON_S):
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        kept = [one for number, one in enumerate(answers) if number % 3]
        positions = {where for one in kept if isinstance(one, list) for where in one}
        assert len(positions) == 120
        found = {entry.position for entry in await everything(log, 120)}
        assert positions <= found

    # Durability.

    async def test_what_was_answered_is_there_for_the_next_process(self, logs: Logs) -> None:
        log = await logs.fresh()
        operations = [operation(f"r{number}") for number in range(200)]
        answers = await append(log, operations)
        identity, bounds = log.identity(1), await log.bounds()
        log = await logs.reopened(log)
        assert log.identity(1) == identity
        assert await log.bounds() == bounds
        found = {entry.position: entry.operation for entry in await everything(log, 200)}
        assert found == dict(zip(answers, operations, strict=True))

    async def test_another_log_has_another_identity(self, logs: Logs) -> None:
        one, other = await logs.fresh(), await logs.fresh()
        assert one.identity(1) != other.identity(1)

    async def test_positions_rise_over_reopening(self, logs: Logs) -> None:
        log = await logs.fresh()
        answers = []
        for number in range(4):
            answers += await append(log, numbered("r", range(number, number + 3)))
            log = await logs.reopened(log)
        assert all(lower < higher for lower, higher in pairwise(answers))
        assert sequences(await everything(log, 12)) == {partition_of(answers[0]): answers}

    async def test_closing_answers_all_and_keeps_what_it_took(self, logs: Logs) -> None:
        log = await logs.fresh()
        appending = [
            asyncio.create_task(log.append([operation(f"r{number}")], deadline()))
            for number in range(100)
        ]
        await asyncio.sleep(0)
        async with asyncio.timeout(SOON_S):
            log = await logs.reopened(log)
            answers = [one for task in appending for one in await task]
        unknown = sum(isinstance(one, OutcomeUnknown) for one in answers)
        found = {entry.position for entry in await everything(log, len(given(answers)))}
        assert set(given(answers)) <= found
        assert len(found) <= len(given(answers)) + unknown

    async def test_a_closed_log_refuses(self, logs: Logs) -> None:
        log = await logs.fresh()
        await append(log, [operation()])
        reopened = await logs.reopened(log)
        async with asyncio.timeout(SOON_S):
            (answer,) = await log.append([operation()], deadline())
        assert isinstance(answer, Unavailable)
        assert not isinstance(answer, OutcomeUnknown)
        assert len(await everything(reopened, 1)) == 1

    # Removal.

    async def test_what_is_trimmed_is_gone_and_the_rest_stays(self, logs: Logs) -> None:
        log = await logs.fresh()
        old = [
            where for number in range(5) for where in await append(log, [operation(f"{number}")])
        ]
        # Time enough that the next ones are younger by the log's own clock.
        await asyncio.sleep(0.01)
        (before,) = await append(log, [operation("0")])
        entry = await log.entry(before)
        assert entry is not None
        await logs.trimmed(log, before, entry.time)
        gone = [one for one in old if partition_of(one) == partition_of(before)]
        assert [await log.entry(one) for one in gone] == [None] * len(gone)
        assert await log.entry(before) is not None
        start, end = (await log.bounds())[partition_of(before)]
        assert parse(gone[-1]).offset < start <= parse(before).offset < end

    async def test_trimming_spares_what_is_young_or_not_below(self, logs: Logs) -> None:
        log = await logs.fresh()
        answers = [
            where for number in range(5) for where in await append(log, [operation(f"{number}")])
        ]
        entry = await log.entry(answers[0])
        assert entry is not None
        await log.trim(max(answers), entry.time)
        await log.trim(min(answers), entry.time + 1_000_000)
        assert {one.position for one in await everything(log, 5)} == set(answers)

    async def test_positions_are_never_given_again_whatever_is_removed(self, logs: Logs) -> None:
        log = await logs.fresh()
        before: list[str] = []
        for _ in range(3):
            answers = await append(log, numbered("r", range(3)))
            assert min(answers) > max(before, default="")
            before += answers
            generation, partition, offset = parse(answers[-1])
            await logs.trimmed(log, position(generation, partition, offset + 1), 2**50)
            bounds = (await log.bounds())[partition_of(answers[0])]
            assert bounds == (offset + 1, offset + 1)
            log = await logs.reopened(log)
            assert (await log.bounds())[partition_of(answers[0])] == bounds
            assert await polled(log.consumer(after())) == []
