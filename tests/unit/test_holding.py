"""Bytes of bodies in hand, and turns of the event loop."""

from __future__ import annotations

import asyncio
import random

import pytest

from penstock.api.holding import Holding
from penstock.api.turns import Turns
from penstock.errors import Unavailable


def test_what_does_not_fit_is_refused_and_what_was_given_back_fits_again() -> None:
    holding = Holding(100)
    holding.take(60)
    with pytest.raises(Unavailable) as refused:
        holding.take(41)
    assert (refused.value.code, refused.value.retry_after) == ("overloaded", 1)
    holding.take(40)
    holding.give(60)
    holding.take(60)
    assert holding.used == 100


async def test_streams_wait_for_room_in_turn_and_leave_a_quarter_to_others() -> None:
    holding, order = Holding(100), []

    async def stream(name: str, size: int) -> None:
        await holding.room(size)
        order.append(name)

    holding.take(40)
    waiting = [asyncio.create_task(stream(*one)) for one in (("a", 50), ("b", 10), ("c", 60))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (order, holding.used) == ([], 40)
    holding.take(25)
    holding.give(40)
    await asyncio.sleep(0)
    assert (order, holding.used) == (["a"], 75)
    holding.give(50)
    await asyncio.sleep(0)
    assert (order, holding.used) == (["a", "b"], 35)
    holding.give(35)
    await asyncio.gather(*waiting)
    assert (order, holding.used) == (["a", "b", "c"], 60)


async def test_a_piece_larger_than_all_there_is_comes_alone() -> None:
    holding = Holding(100)
    await holding.room(500)
    assert holding.used == 500
    behind = asyncio.create_task(holding.room(1))
    await asyncio.sleep(0)
    assert not behind.done()
    holding.give(500)
    await behind
    assert holding.used == 1


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    chance = random.Random(7)
    holding = Holding(100)

    async def stream() -> None:
        size = chance.randrange(1, 80)
        await holding.room(size)
        try:
            await asyncio.sleep(0)
        finally:
            holding.give(size)

    tasks = [asyncio.create_task(stream()) for _ in range(300)]
    while not all(one.done() for one in tasks):
        chance.choice(tasks).cancel()
        assert 0 <= holding.used <= 80
        await asyncio.sleep(0)
    assert holding.used == 0
    await asyncio.wait_for(holding.room(75), 1)


async def test_of_long_work_one_piece_begins_in_each_turn_in_the_order_of_asking() -> None:
    turns, begun, passed = Turns(), [], 0

    def count() -> None:
        nonlocal passed
        passed += 1
        asyncio.get_running_loop().call_soon(count)

    async def work(number: int) -> None:
        await turns.mine()
        begun.append((number, passed))

    asyncio.get_running_loop().call_soon(count)
    tasks = [asyncio.create_task(work(number)) for number in range(10)]
    await asyncio.sleep(0)
    tasks[4].cancel()
    await asyncio.wait(tasks)
    assert [number for number, _ in begun] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    # Each in a later turn than the one before.
    assert len({turn for _, turn in begun}) == 9
    await asyncio.wait_for(turns.mine(), 1)
