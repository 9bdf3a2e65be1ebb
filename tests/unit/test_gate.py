"""The gate: how many begin in a turn, in which order, and who is turned away."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from penstock.api.admission import WINDOW_S, Budget
from penstock.api.asgi import Scope
from penstock.api.gate import Gate
from penstock.api.line import Line
from penstock.api.router import Router
from penstock.api.routes import ROUTES
from penstock.config import Configuration

RECORD = b"/v1/collections/c/records/a"
KIB = 1024
MIB = 1024 * KIB


class Guest:
    """A request that notes what is done with it."""

    def __init__(
        self, done: list[tuple[str, str]], method: str, path: bytes = RECORD, size: int = 0
    ) -> None:
        self.scope: Scope = {
            "method": method,
            "raw_path": path,
            "headers": [(b"content-length", b"%d" % size)] if size else [],
        }
        self.line: Line | None = None
        self.since = 0.0
        self.declared = 0
        self.has_waited = False
        self.begun = False
        self._done = done

    def begin(self, waited_s: float) -> None:
        assert waited_s >= 0
        self.begun = True
        self._done.append((self.scope["method"], "begun"))

    def turn_away(self) -> None:
        self._done.append((self.scope["method"], "turned away"))


def gate_of(**settings: Any) -> Gate:
    return Gate(Router(ROUTES), Configuration.read(**settings), "0" * 10)


def all_in(gate: Gate, count: int, method: str, path: bytes = RECORD) -> list[Guest]:
    done: list[tuple[str, str]] = []
    guests = [Guest(done, method, path) for _ in range(count)]
    for guest in guests:
        gate.receive(guest)
    return guests


def begun(guests: list[Guest]) -> int:
    return sum(one.begun for one in guests)


async def turns(*kinds: list[Guest]) -> list[list[int]]:
    """How many of each kind have begun, turn by turn, until all have."""
    counts: list[list[int]] = []
    while not counts or counts[-1] != [len(one) for one in kinds]:
        counts.append([begun(one) for one in kinds])
        for guests in kinds:
            # First come, first served.
            assert all(one.begun for one in guests[: begun(guests)])
        await asyncio.sleep(0)
    return counts


async def test_only_so_many_begin_in_a_turn_and_the_others_do_in_the_next_ones_in_order() -> None:
    assert await turns(all_in(gate_of(), 100, "GET")) == [[64], [100]]
    assert await turns(all_in(gate_of(), 40, "PUT")) == [[16], [32], [40]]


async def test_writes_begin_slowly_while_reads_are_in_hand() -> None:
    gate = gate_of()
    reads, writes = all_in(gate, 70, "GET"), all_in(gate, 30, "PUT")
    assert await turns(reads, writes) == [[64, 16], [70, 20], [70, 24], [70, 28], [70, 30]]
    for guest in reads:
        gate.leave(guest)
    # Two were left of the last turn.
    assert await turns(all_in(gate, 40, "PUT")) == [[2], [18], [34], [40]]


async def test_writes_begin_slowly_beside_reads_that_are_answered_at_once() -> None:
    gate = gate_of()
    writes = all_in(gate, 40, "PUT")
    counts = [begun(writes)]
    while counts[-1] < 40:
        (read,) = all_in(gate, 1, "GET")
        gate.leave(read)
        await asyncio.sleep(0)
        counts.append(begun(writes))
    assert counts == [16, 20, 24, 28, 32, 36, 40]


async def test_health_begins_at_once_whatever_waits() -> None:
    gate = gate_of()
    for method in ("GET", "PUT"):
        all_in(gate, 3_000, method)
    for path in (b"/livez", b"/readyz"):
        assert begun(all_in(gate, 5, "GET", path)) == 5


async def test_kinds_are_turned_away_apart() -> None:
    gate = gate_of()
    done: list[tuple[str, str]] = []
    for _ in range(1_025):
        gate.receive(Guest(done, "PUT"))
    assert done.count(("PUT", "turned away")) == 1
    assert gate.limits[Budget.WRITE].is_full
    for path in (RECORD, b"/v1/collections/c/records", b"/v1/collections/c/records:export"):
        assert begun(all_in(gate, 1, "GET", path)) == 1
    refused = {budget: limit.refused for budget, limit in gate.limits.items()}
    assert refused == {
        Budget.READ: 0, Budget.WRITE: 1, Budget.QUERY: 0, Budget.STREAM: 0,
    }  # fmt: skip


async def test_who_has_waited_for_half_the_deadline_is_turned_away_and_strains_the_limit() -> None:
    gate = gate_of(ingest_bytes=MIB, max_body_bytes=KIB)
    done: list[tuple[str, str]] = []
    guests = [Guest(done, "PUT", size=KIB) for _ in range(100)]
    for guest in guests:
        gate.receive(guest)
    limit = gate.limits[Budget.WRITE]
    assert (begun(guests), limit.in_hand, gate.holding.used) == (16, 100, 100 * KIB)
    time.sleep(0.26)  # noqa: ASYNC251  # the event loop is busy
    await asyncio.sleep(0)
    assert done == [("PUT", "begun")] * 16 + [("PUT", "turned away")] * 64
    await asyncio.sleep(0)
    assert done == [("PUT", "begun")] * 16 + [("PUT", "turned away")] * 84
    assert (limit.in_hand, limit.refused, gate.holding.used) == (16, 84, 16 * KIB)
    for guest in guests:
        gate.leave(guest)
    assert (limit.in_hand, gate.holding.used) == (0, 0)
    limit.adjust()
    assert limit.allowed < limit.policy.most


async def test_room_for_a_body_is_taken_before_it_is_there_and_given_back() -> None:
    gate = gate_of(ingest_bytes=3 * MIB, max_body_bytes=MIB)
    done: list[tuple[str, str]] = []
    # The second is larger than any body that is taken: it will be refused for that.
    guests = [Guest(done, "PUT", size=size) for size in (MIB, 10 * MIB, MIB - 1, 2)]
    for guest in guests:
        gate.receive(guest)
    assert gate.holding.used == 3 * MIB - 1
    assert [one[1] for one in done] == ["begun", "begun", "begun", "turned away"]
    for _ in range(2):
        gate.leave(guests[1])
    gate.receive(Guest(done, "PUT", size=2))
    assert done[-1][1] == "begun"
    for guest in guests:
        gate.leave(guest)
    assert gate.holding.used == 2


async def test_the_gate_sleeps_while_there_is_nothing_to_do() -> None:
    gate = gate_of()
    for guest in all_in(gate, 10, "GET"):
        gate.leave(guest)
    loop = asyncio.get_running_loop()
    handles = getattr(loop, "_scheduled", [])
    await asyncio.sleep(3 * WINDOW_S)
    assert not [one for one in handles if "_tick" in repr(one)]
    guests = all_in(gate, 10, "GET")
    assert begun(guests) == 10
