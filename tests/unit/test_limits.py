"""What keys and tenants are held to, and what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import HandClock
from tests.support.entropy import SeededEntropy

from penstock.access import limits as module
from penstock.access.bucket import left
from penstock.access.limits import Granted, Limits, Meter
from penstock.access.principal import Principal
from penstock.access.sharing import Sharing
from penstock.adapters.embedded.cache import MemoryCache
from penstock.errors import QuotaExceeded
from penstock.records.scope import EVERYTHING, Rate

SECRET = b"0123456789abcdef"
NOTHING = Rate()


def principal(tenant: str = "t", key: str = "k", rate: Rate | None = None) -> Principal:
    return Principal(tenant, key, EVERYTHING, rate)


def limits(key: Rate = NOTHING, tenant: Rate = NOTHING, largest: int = 100) -> Limits:
    return Limits(Granted(key, tenant, largest), SECRET)


def metered(one: Limits, whose: Principal) -> Meter:
    meter = one.meter(whose)
    assert meter is not None
    return meter


def admitted(one: Limits, whose: Principal, now: float, times: int = 1000) -> int:
    """How many of so many requests at once are."""
    for number in range(times):
        try:
            metered(one, whose).admit(now, 0)
        except QuotaExceeded:
            return number
    return times


def test_nothing_is_kept_of_who_is_not_limited() -> None:
    one = limits()
    assert one.meter(principal()) is None
    assert one.meter(principal(rate=Rate())) is None


def test_a_key_has_its_own_rate_completed_by_what_is_granted_to_all() -> None:
    one = limits(Rate(5, 1000), largest=10)
    own = metered(one, principal(rate=Rate(requests_per_second=7)))
    assert [(each.name, each.rate) for each in own.policies] == [("key", 7), ("key-bytes", 1000)]
    assert admitted(one, principal(key="other"), 0.0) == 5


def test_the_keys_of_a_tenant_share_what_the_tenant_has() -> None:
    one = limits(Rate(6), Rate(10))
    assert admitted(one, principal(key="a"), 0.0) == 6
    assert admitted(one, principal(key="b"), 0.0) == 4
    assert admitted(one, principal(tenant="u", key="a"), 0.0) == 6
    with pytest.raises(QuotaExceeded) as refused:
        metered(one, principal(key="b")).admit(0.0, 0)
    assert refused.value.policies == ("tenant",)
    assert refused.value.retry_after == pytest.approx(0.1)


def test_a_refused_request_takes_from_none() -> None:
    one = limits(Rate(100), Rate(1))
    metered(one, principal()).admit(0.0, 0)
    for _ in range(50):
        with pytest.raises(QuotaExceeded):
            metered(one, principal()).admit(0.0, 0)
    key, tenant = (99, 1), (0, 1)
    assert left(metered(one, principal()).buckets, 0.0) == (*key, *tenant)


def test_a_body_is_taken_whole_or_not_at_all_and_one_of_the_largest_always_fits() -> None:
    meter = metered(limits(Rate(None, 10), largest=100), principal())
    meter.admit(0.0, 100)
    with pytest.raises(QuotaExceeded) as refused:
        meter.admit(1.0, 100)
    assert (refused.value.policies, refused.value.retry_after) == (("key-bytes",), 9.0)
    meter.admit(1.0, 10)
    meter.admit(1.0, 0)
    assert meter.pause(1.0) == 0
    meter.debit(1, 1.0)
    assert meter.pause(1.0) == pytest.approx(0.1)
    with pytest.raises(QuotaExceeded):
        meter.admit(1.0, 0)


STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 300), st.floats(0, 3)), max_size=40)


@given(
    steps=STEPS,
    key=st.builds(Rate, st.none() | st.floats(0.1, 50), st.none() | st.floats(1, 500)),
    tenant=st.builds(Rate, st.none() | st.floats(0.1, 50), st.none() | st.floats(1, 500)),
)
def test_a_request_that_is_sent_again_when_it_was_told_to_is_admitted(
    steps: list[tuple[bool, int, float]], key: Rate, tenant: Rate
) -> None:
    meter = limits(key, tenant).meter(principal())
    if meter is None:
        return
    now = 0.0
    for is_known_before, size, pause in steps:
        now += pause
        if not is_known_before:
            meter.debit(size, now)
            continue
        try:
            meter.admit(now, min(size, 100))
        except QuotaExceeded as refused:
            now += refused.retry_after or 0
            meter.admit(now, min(size, 100))


def test_streams_under_a_quota_of_bytes_are_so_many_and_no_more() -> None:
    one = limits(NOTHING, Rate(None, 10))
    a, b = metered(one, principal(key="a")), metered(one, principal(key="b"))
    for _ in range(4):
        a.begin_stream()
        b.begin_stream()
    with pytest.raises(QuotaExceeded) as refused:
        a.begin_stream()
    assert (refused.value.policies, refused.value.retry_after) == (("streams",), 1)
    b.end_stream()
    a.begin_stream()
    requests = metered(limits(Rate(10)), principal())
    for _ in range(100):
        requests.begin_stream()


def test_a_rate_that_changes_goes_on_from_what_was_used() -> None:
    one = limits()
    assert admitted(one, principal(rate=Rate(10)), 0.0) == 10
    assert admitted(one, principal(rate=Rate(20)), 0.0) == 0
    assert admitted(one, principal(rate=Rate(20)), 0.5) == 10
    assert one.meter(principal(rate=Rate())) is None


def test_names_told_to_others_differ_by_tenant_key_quota_and_installation() -> None:
    pairs = [("a:b", "c"), ("a", "b:c"), ("a/b", "c"), ("a", "b/c"), ("", "abc"), ("1/a", "b")]
    names: list[str] = []
    for secret in (SECRET, SECRET[::-1]):
        one = Limits(Granted(Rate(9, 9), Rate(9, 9)), secret)
        for tenant, key in pairs:
            metered(one, principal(tenant, key)).admit(0.0, 1)
        names += [each.name for each in one.active(0.0)]
    tenants = {tenant for tenant, _ in pairs}
    assert len(names) == len(set(names)) == 2 * 2 * (len(pairs) + len(tenants))


def test_what_nobody_uses_is_forgotten_once_it_is_full() -> None:
    one = limits(Rate(0.01), Rate(10))
    admitted(one, principal(), 0.0)
    admitted(one, principal("u"), 0.0)
    assert len(one.active(5.0)) == 4
    assert one.active(20.0) == []
    one.forget(50.0)
    assert admitted(one, principal(), 50.0) == 0
    one.forget(150.0)
    one.forget(300.0)
    assert (one._meters, one._tenants) == ({}, {})


def test_a_tenant_stays_one_while_any_of_its_keys_is_known() -> None:
    one = limits(Rate(0.001), Rate(10))
    admitted(one, principal(key="a"), 0.0)
    one.forget(50.0)
    assert (
        metered(one, principal(key="a")).requests[1]
        is (metered(one, principal(key="b")).requests[1])
    )


def test_a_storm_of_keys_and_tenants_grows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_METERS", 100)
    one = limits(Rate(1), Rate(1))
    for number in range(1000):
        admitted(one, principal(f"t{number}", f"k{number}"), 0.0)
        admitted(one, principal("one", f"k{number}"), 0.0)
    assert len(one._meters) <= 100
    assert len(one._tenants) <= 100
    assert admitted(one, principal("one", "new"), 0.0) == 0


class Shared:
    """Some processes on one cache."""

    def __init__(self, count: int, key: Rate) -> None:
        self.clock = HandClock()
        self.cache: Any = MemoryCache(1_000_000, self.clock, SeededEntropy())
        self.limits = [limits(key) for _ in range(count)]

    async def round(self) -> None:
        for one in self.limits:
            await Sharing(one, self, self.clock).round()  # type: ignore[arg-type]  # it only adds

    async def add(self, amounts: Mapping[str, int], ttl_ms: int) -> Mapping[str, int] | None:
        return await self.cache.add(amounts, ttl_ms) if self.cache is not None else None

    def admitted(self, number: int) -> int:
        return admitted(self.limits[number], principal(), self.clock.monotonic())


async def test_processes_that_share_a_cache_share_a_quota() -> None:
    both = Shared(2, Rate(1000))
    for number in (0, 1):
        metered(both.limits[number], principal()).admit(both.clock.monotonic(), 0)
    await both.round()
    assert both.admitted(0) >= 990
    await both.round()
    assert both.admitted(1) < 100


async def test_without_the_cache_each_limits_by_itself_and_debts_do_not_pile_up() -> None:
    both = Shared(2, Rate(1000))
    for number in (0, 1):
        metered(both.limits[number], principal()).admit(both.clock.monotonic(), 0)
    await both.round()
    cache, both.cache = both.cache, None
    for _ in range(20):
        both.clock.advance(1000)
        assert both.admitted(0) >= 990
        assert both.admitted(1) >= 990
        await both.round()
    both.cache = cache
    await both.round()
    both.clock.advance(1000)
    await both.round()
    assert both.admitted(0) >= 990
