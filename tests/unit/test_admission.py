"""The limits of what is let in: their laws, and how they settle under loads that are worked out."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.api.admission import WINDOW_S, Budget, Limit, Policy, limits

WAIT_S = 0.05
TOOK_S = 0.2
POLICY = Policy(least=8, most=1_000, turn=16, wait_s=WAIT_S, took_s=TOOK_S)


class LimitMachine(RuleBasedStateMachine):
    """Whatever comes, the count is right and the bounds hold."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = Limit(POLICY)
        self.entered = self.left = self.refused = 0

    @rule()
    def enter(self) -> None:
        had_room = self.entered - self.left < self.limit.allowed
        assert self.limit.enter() is had_room
        self.entered += had_room
        self.refused += not had_room

    @precondition(lambda self: self.entered > self.left)
    @rule(took_s=st.none() | st.floats(0, 100))
    def end(self, took_s: float | None) -> None:
        self.limit.ended(took_s)
        self.left += 1

    @rule(waited_s=st.floats(0, 100))
    def begin(self, waited_s: float) -> None:
        self.limit.began(waited_s)

    @rule()
    def adjust(self) -> None:
        before = self.limit.allowed
        self.limit.adjust()
        assert 0.8 * before <= self.limit.allowed <= 1.1 * before

    @invariant()
    def counts_are_right_and_bounds_hold(self) -> None:
        assert POLICY.least <= self.limit.allowed <= POLICY.most
        assert (self.limit.in_hand, self.limit.refused) == (self.entered - self.left, self.refused)
        assert self.limit.is_full is (self.limit.in_hand >= self.limit.allowed)


TestLimitMachine = LimitMachine.TestCase
TestLimitMachine.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


class Simulated(NamedTuple):
    """What came of a load: numbers in its last half, and the limit at its end."""

    served: int
    refused: int
    longest_s: float
    allowed: float


def simulate(
    limit: Limit, per_second: float, capacity: float, seconds: float, engine_s: float = 0.0
) -> Simulated:
    """Requests come evenly, and one after another takes the event loop for `1 / capacity`.

    After that each takes `engine_s` more, during which the event loop is free.
    """
    step_s = 0.001
    queue: deque[float] = deque()
    under_way: deque[tuple[float, float]] = deque()
    now, due, room, window = 0.0, 0.0, 0.0, WINDOW_S
    served = refused = 0
    longest = 0.0
    while now < seconds:
        now += step_s
        counts = now > seconds / 2
        due += per_second * step_s
        while due >= 1:
            due -= 1
            if limit.enter():
                queue.append(now)
            else:
                refused += counts
        room = min(room + capacity * step_s, capacity * step_s + 1)
        while room >= 1 and queue:
            room -= 1
            since = queue.popleft()
            limit.began(now - since)
            under_way.append((now + engine_s, since))
        while under_way and under_way[0][0] <= now:
            _, since = under_way.popleft()
            limit.ended(now - since)
            served += counts
            longest = max(longest, now - since) if counts else 0.0
        if now >= window:
            window += WINDOW_S
            limit.adjust()
    return Simulated(served, refused, longest, limit.allowed)


@pytest.mark.parametrize("capacity", [500, 5_000])
def test_at_twice_what_can_be_served_all_of_that_is_served_and_soon(capacity: int) -> None:
    found = simulate(Limit(Policy(8, 100_000, 16, WAIT_S, TOOK_S)), 2 * capacity, capacity, 10)
    assert found.served == pytest.approx(5 * capacity, rel=0.02)
    assert found.refused == pytest.approx(5 * capacity, rel=0.02)
    assert found.longest_s < 1.5 * WAIT_S
    # By Little's law: what waits for 50 ms.
    assert found.allowed == pytest.approx(WAIT_S * capacity, rel=0.3)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_nothing_is_refused_that_can_be_served(share: float) -> None:
    found = simulate(Limit(POLICY), share * 5_000, 5_000, 4)
    assert (found.refused, found.allowed) == (0, POLICY.most)


def test_a_burst_is_let_in_and_an_overload_ends_when_it_ends() -> None:
    limit = Limit(POLICY)
    assert all(limit.enter() for _ in range(POLICY.most))
    assert not limit.enter()
    for _ in range(POLICY.most):
        limit.ended(None)
    assert simulate(limit, 4_000, 2_000, 4).allowed < POLICY.most / 4
    assert simulate(limit, 1_000, 2_000, 4).allowed == POLICY.most


def test_an_engine_at_its_limit_is_asked_less_and_one_that_is_only_slow_is_not() -> None:
    struggling = simulate(Limit(POLICY), 2_000, 18_000, 10, engine_s=2 * TOOK_S)
    assert struggling.allowed == POLICY.least
    slow = simulate(Limit(POLICY), 2_000, 18_000, 10, engine_s=0.5 * TOOK_S)
    assert (slow.refused, slow.allowed) == (0, POLICY.most)


@given(waits=st.lists(st.floats(0, 10), min_size=1, max_size=50), scale=st.floats(1, 10))
def test_longer_waits_never_let_more_in(waits: list[float], scale: float) -> None:
    short, long = Limit(POLICY), Limit(POLICY)
    for limit, factor in ((short, 1.0), (long, scale)):
        for wait in waits:
            limit.began(factor * wait)
            limit.adjust()
    assert long.allowed <= short.allowed


def test_health_has_no_limit_and_what_has_one_waits_for_less_than_the_deadline() -> None:
    found = limits(0.5)
    assert set(found) == set(Budget) - {Budget.HEALTH}
    waits = {budget: limit.policy.wait_s for budget, limit in found.items()}
    assert waits == {
        Budget.READ: 0.05, Budget.WRITE: 0.05, Budget.QUERY: 0.2, Budget.STREAM: 0.05,
    }  # fmt: skip
    took = {budget: limit.policy.took_s for budget, limit in found.items()}
    assert took == dict.fromkeys(waits, 0.2) | {Budget.QUERY: 0.3}
