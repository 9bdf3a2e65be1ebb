"""The short way: how many are turned away in a turn, and what becomes of the others."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.calling import Called

from penstock.api.admission import Budget, Limit
from penstock.api.gate import Gate
from penstock.api.router import Router
from penstock.api.routes import ROUTES
from penstock.config import Configuration

READ = b"GET /v1/collections/c/records/a HTTP/1.1\r\nhost: h\r\n\r\n"
WRITE = b"DELETE /v1/collections/c/records/a HTTP/1.1\r\nhost: h\r\n\r\n"
IN_A_TURN = 256


@pytest.fixture
async def gate() -> Gate:
    return Gate(Router(ROUTES), Configuration.read(), "0" * 10)


def filled(gate: Gate, budget: Budget) -> Limit:
    limit = gate.limits[budget]
    while limit.enter():
        pass
    limit.refused = 0
    return limit


def calling(gate: Gate, count: int) -> list[Called]:
    callers = [Called() for _ in range(count)]
    assert all(gate.turns_away(one, READ) for one in callers)
    return callers


def answered(callers: list[Called]) -> int:
    count = sum(one.answer is not None for one in callers)
    # First come, first served, and the others are not read meanwhile.
    assert [one.held for one in callers] == [False] * count + [True] * (len(callers) - count)
    return count


async def turns(callers: list[Called]) -> list[int]:
    """How many were answered, turn by turn, until all were."""
    counts = [answered(callers)]
    while counts[-1] < len(callers):
        await asyncio.sleep(0)
        counts.append(answered(callers))
    return counts


async def test_so_many_are_turned_away_in_a_turn_and_the_others_in_the_next_ones(
    gate: Gate,
) -> None:
    limit = filled(gate, Budget.READ)
    callers = calling(gate, 600)
    assert await turns(callers) == [IN_A_TURN, 2 * IN_A_TURN, 600]
    assert (limit.refused, gate.short.turned_away) == (600, 600)
    assert all((one.answer or b"").startswith(b"HTTP/1.1 503 ") for one in callers)
    # And then there is room again.
    await asyncio.sleep(0)
    assert answered(calling(gate, 300)) == IN_A_TURN


async def test_a_flood_takes_a_quarter_of_those_that_wait_in_each_turn(gate: Gate) -> None:
    filled(gate, Budget.READ)
    # 2,304 wait, then 1,728, then 1,296, then 972, of which a quarter is less than what always is.
    assert (await turns(calling(gate, 2_560)))[:5] == [256, 832, 1_264, 1_588, 1_844]


async def test_what_was_postponed_gets_in_where_there_is_room_by_then(gate: Gate) -> None:
    limit = filled(gate, Budget.READ)
    callers = calling(gate, IN_A_TURN + 10)
    limit.ended(None)
    await asyncio.sleep(0)
    assert [one.taken_up for one in callers] == [None] * IN_A_TURN + [READ] * 10
    assert limit.refused == IN_A_TURN


async def test_a_connection_that_is_to_end_is_told_so_the_long_way(gate: Gate) -> None:
    filled(gate, Budget.READ)
    callers = calling(gate, IN_A_TURN + 1)
    callers[-1].is_free = False
    await asyncio.sleep(0)
    assert callers[-1].taken_up == READ
    assert callers[-1].answer is None


async def test_queries_are_turned_away_the_short_way_too(gate: Gate) -> None:
    limit = filled(gate, Budget.QUERY)
    caller = Called()
    assert gate.turns_away(caller, READ.replace(b"/records/a", b"/records?size=20"))
    assert (caller.answer or b"").startswith(b"HTTP/1.1 503 ")
    assert not gate.turns_away(caller, READ)
    assert limit.refused == 1


async def test_what_has_something_under_way_goes_the_long_way(gate: Gate) -> None:
    filled(gate, Budget.READ)
    caller = Called()
    caller.is_free = False
    assert not gate.turns_away(caller, READ)


async def test_only_those_for_whom_there_is_no_room_are_turned_away(gate: Gate) -> None:
    filled(gate, Budget.READ)
    caller = Called()
    for data in (WRITE, READ + READ, READ[:-1], READ.replace(b"/records/a", b"/records")):
        assert not gate.turns_away(caller, data)
    assert not gate.turns_away(caller, b"GET /livez HTTP/1.1\r\nhost: h\r\n\r\n")
    assert (caller.held, caller.answer, gate.short.turned_away) == (False, None, 0)
