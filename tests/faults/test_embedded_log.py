"""The embedded log on a disk that is full, or fails, and under many event loops."""

from __future__ import annotations

import asyncio
import random
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest
from tests.contract.logs import (
    SOON_S,
    after,
    append,
    deadline,
    everything,
    given,
    numbered,
    operation,
    polled,
)
from tests.support.clock import HandClock
from tests.support.disk import Disk, broken, failing_disk, full, sound

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.embedded.log import EmbeddedLog
from penstock.errors import DeadlineExceeded, OutcomeUnknown, PenstockError, Unavailable
from penstock.records.operation import Operation
from penstock.records.position import Position, position


@pytest.fixture
def disk() -> Iterator[Disk]:
    with failing_disk() as one:
        yield one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def opened(path: Path) -> EmbeddedLog:
    return EmbeddedLog(path, SystemClock(), SystemEntropy())


async def refused(log: EmbeddedLog, operations: list[Operation]) -> set[tuple[type, str]]:
    answers = await log.append(operations, deadline())
    assert len(answers) == len(operations)
    return {(type(one), one.code) for one in answers if isinstance(one, PenstockError)}


async def test_a_full_disk_refuses_and_what_it_refused_never_appears(
    path: Path, disk: Disk
) -> None:
    log = opened(path)
    kept = await append(log, numbered("r", range(3)))
    disk.before_write = full
    for _ in range(3):
        refusals = await refused(log, numbered("r", range(3, 6)))
        assert refusals == {(Unavailable, "log_unavailable")}
    assert [one.position for one in await everything(log, 3)] == kept
    disk.heal()
    kept += await append(log, numbered("r", range(6, 9)))
    assert kept == [position(1, 0, offset) for offset in range(6)]
    for reopen in (False, True):
        if reopen:
            await log.close()
            log = opened(path)
        entries = await everything(log, 6)
        assert [one.position for one in entries] == kept
        assert [one.operation.data for one in entries] == [b"0", b"1", b"2", b"6", b"7", b"8"]
    await log.close()


@pytest.mark.parametrize("reopen", [False, True])
async def test_a_failed_synchronisation_is_an_unknown_outcome(
    path: Path, disk: Disk, reopen: bool
) -> None:
    log = opened(path)
    kept = await append(log, [operation(data=b"kept")])
    disk.before_sync = broken
    answers = await refused(log, [operation(data=b"unknown")])
    assert answers == {(OutcomeUnknown, "outcome_unknown")}
    # Nothing is taken before it is certain again what the log holds.
    assert await refused(log, [operation(data=b"no")]) == {(Unavailable, "log_unavailable")}
    disk.heal()
    if reopen:
        await log.close()
        log = opened(path)
    kept += await append(log, [operation(data=b"kept")])
    entries = {one.position: one.operation.data for one in await everything(log, 2)}
    assert [entries[one] for one in kept] == [b"kept", b"kept"]
    assert b"no" not in entries.values()
    await log.close()


async def test_what_is_unknown_and_was_written_is_read_in_its_place(path: Path, disk: Disk) -> None:
    log = opened(path)
    consumer = log.consumer(after())
    kept = await append(log, [operation(data=b"before")])
    disk.before_sync = broken
    assert await refused(log, [operation(data=b"unknown")]) == {(OutcomeUnknown, "outcome_unknown")}
    assert await refused(log, [operation(data=b"no")]) == {(Unavailable, "log_unavailable")}
    disk.heal()
    kept += await append(log, [operation(data=b"after")])
    read = await polled(consumer)
    assert {one.position for one in read} >= set(kept)
    await consumer.close()
    await log.close()
    log = opened(path)
    assert await everything(log, len(read)) == read
    await log.close()


async def test_a_trim_that_fails_says_so_and_the_log_goes_on(path: Path, disk: Disk) -> None:
    log = opened(path)
    answers = []
    for number in range(4):
        answers += await append(log, [operation(data=b"%d" % number)])
    disk.before_write = broken
    async with asyncio.timeout(SOON_S):
        with pytest.raises(Unavailable, match="log_unavailable"):
            await log.trim(answers[3], 2**50)
    disk.heal()
    assert [one.position for one in await everything(log, 4)] == answers
    assert await log.trim(answers[3], 2**50) == 3
    answers += await append(log, [operation()])
    assert [one.position for one in await everything(log, 2)] == answers[3:]
    await log.close()


async def test_time_in_the_log_does_not_go_back_with_the_clock(path: Path) -> None:
    clock = HandClock()
    start = clock.now()
    log = EmbeddedLog(path, clock, SystemEntropy())
    await append(log, [operation()])
    clock.set_back(5_000)
    await append(log, [operation()])
    await log.close()
    log = EmbeddedLog(path, clock, SystemEntropy())
    await append(log, [operation()])
    clock.advance(5_001)
    await append(log, [operation()])
    assert [one.time - start for one in await everything(log, 4)] == [0, 0, 0, 1]
    await log.close()


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_disk_does_what_was_answered_is_true(
    path: Path, disk: Disk, seed: int
) -> None:
    chance = random.Random(seed)
    told: dict[Position, bytes] = {}
    refusals: set[bytes] = set()
    unknown: set[bytes] = set()
    read: list[Position] = []
    log = opened(path)
    consumer = log.consumer(after())
    for number in range(150):
        disk.before_write = chance.choice([sound] * 8 + [full, broken])
        disk.before_sync = chance.choice([sound] * 8 + [broken])
        groups = [
            numbered("r", range(100 * number + one, 100 * number + one + 3))
            for one in range(0, 100, 25)
        ]
        answered = await asyncio.gather(*[log.append(group, deadline()) for group in groups])
        for group, answers in zip(groups, answered, strict=True):
            for one, answer in zip(group, answers, strict=True):
                if not isinstance(answer, PenstockError):
                    assert answer not in told
                    told[answer] = one.data
                else:
                    (unknown if isinstance(answer, OutcomeUnknown) else refusals).add(one.data)
        read += [one.position for one in await polled(consumer, 20, 0)]
        if chance.random() < 0.1:
            disk.heal()
            await consumer.close()
            await log.close()
            log = opened(path)
            consumer = log.consumer(after(*read[-1:]))
    disk.heal()
    last = await append(log, [operation(data=b"last")])
    while read[-1:] != last:
        read += [one.position for one in await polled(consumer)]
    await consumer.close()
    await log.close()

    log = opened(path)
    entries = await everything(log, len(told) + 1)
    found = {one.position: one.operation.data for one in entries}
    assert len(told) > 100
    assert refusals
    assert unknown
    assert found.items() >= told.items()
    assert not refusals & set(found.values())
    assert set(found.values()) <= {*told.values(), *unknown, b"last"}
    # What the consumer was given is what the log holds, in its order, and nothing that went again.
    assert read == list(found)
    await log.close()


async def test_several_event_loops_append_at_once(path: Path) -> None:
    log = opened(path)

    async def write(writer: int) -> list[Position]:
        groups = [numbered(f"r{writer}", range(count)) for count in range(1, 40)]
        return [where for group in groups for where in await append(log, group)]

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(asyncio.run, write(writer)) for writer in range(4)]
        answers = [await asyncio.wrap_future(one) for one in running]
    for own in answers:
        assert own == sorted(own)
    flat = sorted(where for own in answers for where in own)
    assert len(set(flat)) == 4 * sum(range(40))
    assert [one.position for one in await everything(log, len(flat))] == flat
    await log.close()


async def test_closing_answers_other_event_loops_as_well(path: Path) -> None:
    log = opened(path)
    flowing = threading.Event()

    async def write() -> list[Position]:
        """Append, many at a time, until something is refused."""
        own: list[Position] = []
        while True:
            appending = [log.append([operation()], deadline()) for _ in range(10)]
            async with asyncio.timeout(SOON_S):
                answers = [one for answer in await asyncio.gather(*appending) for one in answer]
            own += given(answers)
            flowing.set()
            if given(answers) != answers:
                return own

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(asyncio.run, write()) for _ in range(3)]
        await asyncio.to_thread(flowing.wait, SOON_S)
        await log.close()
        answers = [await asyncio.wrap_future(one) for one in running]
    log = opened(path)
    flat = sorted(where for own in answers for where in own)
    assert [one.position for one in await everything(log, len(flat))] == flat
    await log.close()


async def test_nothing_is_read_before_it_is_certainly_on_the_disk(path: Path, disk: Disk) -> None:
    """What a killed process had written, but not synchronised, is synchronised at opening."""
    log = opened(path)
    await append(log, [operation()])
    for file in path.parent.glob("log.db*"):
        shutil.copy(file, file.with_name(file.name.replace("log", "killed")))
    await log.close()
    killed = path.with_name("killed.db")
    disk.before_sync = broken
    with pytest.raises(apsw.IOError) as failure:
        opened(killed)
    disk.heal()
    del failure  # and with it the connection, which synchronises as it goes
    log = opened(killed)
    assert len(await everything(log, 1)) == 1
    await log.close()


class Gate:
    """Where a disk hangs, until it is let go."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> None:
        self._reached.set()
        assert self._open.wait(SOON_S)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, SOON_S)

    def let_go(self) -> None:
        self._open.set()


async def test_what_waits_behind_a_hanging_disk_is_not_written_after_its_deadline(
    path: Path, disk: Disk
) -> None:
    log = opened(path)
    disk.before_sync = gate = Gate()
    first = asyncio.create_task(append(log, [operation(data=b"first")]))
    await gate.reached()
    soon = time.monotonic() + 0.05
    late = asyncio.create_task(log.append([operation(data=b"late")], soon))
    gone = asyncio.create_task(log.append([operation(data=b"gone")], deadline()))
    second = asyncio.create_task(append(log, [operation(data=b"second")]))
    await asyncio.sleep(0.06)
    gone.cancel()
    gate.let_go()
    (answer,) = await late
    assert isinstance(answer, DeadlineExceeded)
    positions = await first + await second
    entries = await everything(log, 2)
    assert [one.position for one in entries] == positions
    assert [one.operation.data for one in entries] == [b"first", b"second"]
    await log.close()


async def test_what_gathers_behind_a_slow_disk_is_written_in_portions(
    path: Path, disk: Disk
) -> None:
    """One commit of all of it would keep all the next ones waiting."""
    log = opened(path)
    disk.before_sync = gate = Gate()
    appending = [asyncio.create_task(append(log, [operation()]))]
    await gate.reached()
    for _ in range(30):
        appending.append(asyncio.create_task(append(log, [operation(data=bytes(1_000_000))])))
        # One turn of the loop, one hand-over.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    gate.let_go()
    answers = [where for one in appending for where in await one]
    assert [one.position for one in await everything(log, 31)] == answers
    await log.close()
    connection = apsw.Connection(str(path))
    sizes = [row[0] for row in connection.execute("SELECT length(entries) FROM batches")]
    connection.close()
    assert sum(sizes) > 30_000_000
    assert max(sizes) < 10_000_000
