"""The net under a request strikes once, where it should, and nowhere else."""

from __future__ import annotations

import asyncio

import pytest

from penstock.api.deadline import Deadlines
from penstock.errors import DeadlineExceeded, OutcomeUnknown


def deadlines() -> Deadlines:
    return Deadlines(asyncio.get_running_loop().time)


def soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_block_that_outlasts_its_guard_ends_with_the_guards_error() -> None:
    with pytest.raises(DeadlineExceeded), deadlines().guard(soon(0.01), DeadlineExceeded):
        await forever()


async def test_a_block_that_is_quick_is_left_alone() -> None:
    with deadlines().guard(soon(60), DeadlineExceeded):
        await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_guard_moves_and_changes_its_error_within_the_block() -> None:
    async def moved() -> None:
        with deadlines().guard(soon(60), DeadlineExceeded) as guard:
            guard.expires_at = soon(0)
            guard.late = OutcomeUnknown
            await forever()

    with pytest.raises(OutcomeUnknown):
        await moved()


async def test_the_blocks_own_error_wins() -> None:
    async def failing() -> None:
        with deadlines().guard(soon(0.01), DeadlineExceeded):
            try:
                await forever()
            finally:
                raise KeyError

    with pytest.raises(KeyError):
        await failing()


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    async def guarded() -> None:
        with deadlines().guard(soon(60), DeadlineExceeded):
            await forever()

    task = asyncio.create_task(guarded())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_only_the_late_one_of_many_is_struck() -> None:
    shared = deadlines()
    release = asyncio.Event()

    async def guarded(seconds: float) -> str:
        try:
            with shared.guard(soon(seconds), DeadlineExceeded):
                await release.wait()
        except DeadlineExceeded:
            release.set()
            return "late"
        return "in time"

    answers = await asyncio.gather(*(guarded(seconds) for seconds in (60, 0.01, 60)))
    assert answers == ["in time", "late", "in time"]
