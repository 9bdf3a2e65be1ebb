"""Token buckets: what they let through over any stretch of time, alone and shared by processes."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.access.bucket import EXACT_S, Bucket, Policy, left, take
from penstock.access.limits import ROUND_S

RATES = st.floats(0.01, 1e6)
PAUSES = st.floats(0, 5) | st.just(0.0)


def bucket(rate: float, burst: float) -> Bucket:
    return Bucket("b", Policy("key", "requests", rate, burst))


@given(
    rate=RATES,
    burst=st.floats(1, 1e6),
    asked=st.lists(st.tuples(PAUSES, st.floats(0, 1)), max_size=60),
)
def test_no_stretch_of_time_takes_more_than_the_burst_and_what_comes_in_it(
    rate: float, burst: float, asked: list[tuple[float, float]]
) -> None:
    one = bucket(rate, burst)
    now, taken = 0.0, []
    for pause, share in asked:
        now += pause / rate * burst
        amount = int(share * burst)
        if not one.wait(amount, now):
            take([one], amount, now)
            taken.append((now, amount))
    sums = [0, *accumulate(amount for _, amount in taken)]
    for first, (start, _) in enumerate(taken):
        for last, (end, _) in enumerate(taken[first:], first):
            most = burst + rate * (end - start + EXACT_S)
            assert sums[last + 1] - sums[first] <= most * (1 + 1e-9)


@given(rate=RATES, burst=st.floats(1, 1e6), share=st.floats(0, 3), now=st.floats(0, 5))
def test_what_may_be_looked_at_says_what_wait_does(
    rate: float, burst: float, share: float, now: float
) -> None:
    one = bucket(rate, burst)
    take([one], int(share * burst), 0.0)
    for amount, limit_s in ((1, one.one_s), (0, one.none_s)):
        beyond_s = one.full_at - now - limit_s
        # To where floating-point numbers cannot tell.
        if abs(beyond_s) > EXACT_S / 2:
            assert (beyond_s > 0) is (one.wait(amount, now) > 0)


@given(rate=RATES, largest=st.integers(1, 10**9), now=st.floats(0, 1e7))
def test_a_full_bucket_admits_one_of_the_largest(rate: float, largest: int, now: float) -> None:
    one = Bucket("b", Policy.of("key-bytes", "content-bytes", rate, largest))
    assert one.wait(largest, now) == 0
    take([one], largest, now)
    # So does one that an overdraft of the same size was paid back to.
    take([one], largest, now)
    later = now + one.wait(largest, now)
    assert one.wait(largest, later) == 0


@given(
    rate=RATES,
    burst=st.integers(1, 10**6),
    start=st.floats(0, 1e7),
    taken=st.lists(st.integers(0, 10**6), max_size=20),
    amount=st.integers(0, 10**6),
)
def test_after_the_wait_that_it_names_the_same_is_there_and_not_before(
    rate: float, burst: int, start: float, taken: list[int], amount: int
) -> None:
    one = bucket(rate, burst)
    for each in taken:
        take([one], each, start)
    wait = one.wait(amount, start)
    assert one.wait(amount, start + wait) == 0
    if wait > 3 * EXACT_S:
        assert one.wait(amount, start + wait - 2 * EXACT_S) > 0


@given(
    rate=st.floats(0.5, 1e4),
    sizes=st.lists(st.tuples(PAUSES, st.integers(0, 10**6)), min_size=1, max_size=60),
)
def test_what_is_known_only_afterwards_is_owed_and_paid_back(
    rate: float, sizes: list[tuple[float, int]]
) -> None:
    """Admitted while nothing is owed: beyond the burst and the rate, there is one piece at most."""
    one, burst = bucket(rate, 1000), 1000
    now, taken = 0.0, []
    for pause, size in sizes:
        now += pause
        if not one.wait(0, now):
            take([one], size, now)
            taken.append((now, size))
    start, end = taken[0][0], taken[-1][0]
    before = sum(size for _, size in taken[:-1])
    assert before <= burst + rate * (end - start + EXACT_S) * (1 + 1e-9)


def test_what_is_left_and_when_it_is_whole_are_told_as_they_are() -> None:
    one = bucket(10, 20)
    assert left([one], 5.0) == (20, 0)
    take([one], 5, 5.0)
    assert left([one], 5.0) == (15, 1)
    assert left([one], 5.25) == (17, 1)
    take([one], 40, 5.25)
    assert left([one], 5.25) == (0, 5)
    assert one.wait(0, 5.25) == pytest.approx(2.25)
    assert one.wait(1, 5.25) == pytest.approx(2.35)


def test_a_policy_says_in_how_many_seconds_it_fills() -> None:
    assert Policy.of("key", "requests", 100, 1).window_s == 1
    assert Policy.of("key", "requests", 0.1, 1).window_s == 10
    assert Policy.of("key-bytes", "content-bytes", 100_000, 2**20).window_s == 11


def test_what_others_took_is_taken_once_and_only_as_far_as_it_is_new() -> None:
    one = bucket(10, 10)
    one.learn(1_000, 0, 1.0, ROUND_S)
    assert left([one], 1.0)[0] == 10, "what was before is past"
    take([one], 2, 1.4)
    one.learn(1_005, 2, 1.5, ROUND_S)
    assert left([one], 1.5)[0] == 10 - 2 + 1 - 3
    one.learn(1_005, 0, 2.0, ROUND_S)
    assert left([one], 2.0)[0] == 10


def test_a_count_that_was_lost_begins_anew() -> None:
    one = bucket(10, 10)
    one.learn(1_000, 0, 1.0, ROUND_S)
    one.learn(7, 3, 1.5, ROUND_S)
    assert left([one], 1.5)[0] == 6
    one.learn(12, 0, 1.5, ROUND_S)
    assert left([one], 1.5)[0] == 1


def test_what_others_took_while_they_could_not_be_heard_locks_nobody_out() -> None:
    one = bucket(10, 10)
    one.learn(0, 0, 1.0, ROUND_S)
    one.unheard()
    one.learn(50_000, 0, 60.0, ROUND_S)
    assert left([one], 60.0)[0] == 10
    # Nor where it is this process that was stopped for a minute: what others took came back.
    one.learn(50_590, 0, 120.0, ROUND_S)
    assert left([one], 120.0)[0] == 10


@given(
    count=st.integers(2, 4),
    rate=st.integers(1, 200),
    demands=st.lists(st.lists(st.integers(0, 60), min_size=4, max_size=4), max_size=150),
)
def test_processes_that_tell_each_other_stay_within_the_bound_that_is_documented(
    count: int, rate: int, demands: list[list[int]]
) -> None:
    """`burst + rate t`, and for each process but one a burst and what comes in two rounds."""
    buckets = [Bucket("shared", Policy.of("key", "requests", rate, 1)) for _ in range(count)]
    total, admitted = 0, []
    for one in buckets:
        one.learn(0, 0, 0.0, ROUND_S)
    for step, each in enumerate(demands):
        now = step * ROUND_S / 5
        for number, one in enumerate(buckets):
            for _ in range(each[number]):
                if not one.wait(1, now):
                    take([one], 1, now)
                    admitted.append(now)
            # Each has its round at another time.
            if step % 5 == number:
                total += one.used
                told, one.used = one.used, 0
                one.learn(total, told, now, ROUND_S)
    burst = max(rate, 1)
    more = (count - 1) * (burst + 2 * rate * ROUND_S)
    for first, start in enumerate(admitted):
        for last in range(first, len(admitted), max(len(admitted) // 50, 1)):
            assert last - first + 1 <= burst + rate * (admitted[last] - start) + more + count
