"""Who is asked: whoever is there, is ready, and has the least to do; and how often twice."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.clock import HandClock
from tests.support.entropy import SeededEntropy
from tests.support.upstreams import Scripted, hang

from penstock.api.forward import Fleet, places
from penstock.api.forward.address import Place
from penstock.api.forward.budget import Budget
from penstock.api.forward.race import Hedging, Race
from penstock.errors import ConfigurationError


@asynccontextmanager
async def started(*hosts: str, port: int) -> AsyncIterator[Fleet]:
    one = Fleet("query", [Place(host, port) for host in hosts], 0.5, HandClock(), SeededEntropy())
    await one.start()
    try:
        yield one
    finally:
        await one.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Scripted]:
    one = Scripted(hang)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


def test_places_are_hosts_and_ports() -> None:
    text = "http://a:1, http://[::1]:8080/,http://b.svc:80"
    assert places("X", text) == [Place("a", 1), Place("::1", 8080), Place("b.svc", 80)]
    plain, secure = places("X", "http://a:1,https://a:2")
    assert plain.tls is None
    assert secure.tls is not None
    assert secure.tls.check_hostname


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a:1",
        "http://a",
        "ftp://a:1",
        "http://a:1/x",
        "http://u@a:1",
        "http://a:1,,",
        "http://a:0x",
    ],
)
def test_what_is_no_place_is_an_error_that_names_the_setting(text: str) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_QUERY_URLS"):
        places("PENSTOCK_QUERY_URLS", text)


async def test_a_name_with_several_addresses_is_several_services_which_come_and_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addresses = ["127.0.0.1", "127.0.0.2"]

    async def getaddrinfo(_host: str, port: int, **_: Any) -> list[Any]:
        if not addresses:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with listening() as one, started("query.svc", port=one.port) as found:

        def chosen() -> set[str]:
            return {one.address.ip for one in (found.choose() for _ in range(8)) if one}

        assert chosen() == {"127.0.0.1"}, "nobody answers at the other"
        addresses[:] = ["127.0.0.3"]
        await found._resolve()
        assert chosen() == {"127.0.0.3"}
        addresses.clear()
        await found._resolve()
        assert chosen() == set(), "it was not ready either, and its name is gone"
    assert not found._watching


async def test_whoever_answered_is_asked_on_while_names_are_not_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with listening() as one, started("127.0.0.1", port=one.port) as found:

        async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
            raise socket.gaierror

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        await found._resolve()
        assert found.choose() is not None


async def test_the_less_busy_of_two_is_asked_and_of_equals_each_in_turn() -> None:
    async with (
        listening() as one,
        started("127.0.0.1", "127.0.0.2", "127.0.0.3", port=one.port) as found,
    ):
        for upstream in found._all.values():
            upstream.said(ready=True)
        names = Counter(found.choose().address.ip for _ in range(300))  # type: ignore[union-attr]  # there are three
        assert min(names.values()) > 60
        busy, *idle = found._all.values()
        busy.in_flight = 5
        for each in idle:
            each.in_flight = 1
        assert busy not in {found.choose() for _ in range(50)}
        assert found.choose(idle[0]) is not idle[0]


async def test_one_that_fails_is_left_alone_for_a_while_and_longer_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later: list[float] = []
    loop = asyncio.get_running_loop()
    async with listening() as one, started("127.0.0.1", "127.0.0.2", port=one.port) as found:
        first, second = found._all.values()
        for upstream in (first, second):
            upstream.said(ready=True)
        with monkeypatch.context() as patched:
            patched.setattr(loop, "call_later", lambda seconds, *_: later.append(seconds))
            for _ in range(2):
                first.strike()
            assert first.usable, "twice is chance"
            first.strike()
            assert {found.choose() for _ in range(8)} == {second}
            first._back()
            first.strike(3)
            first._back()
            first.worked()
            first.strike(3)
            second.strike(3)
        assert later == [1.0, 2.0, 1.0, 1.0]
        assert {found.choose() for _ in range(8)} == {first, second}, "better one of them than none"


def test_a_budget_allows_a_burst_and_a_part_in_the_long_run() -> None:
    budget = Budget(0.1, 5)
    assert [budget.spend() for _ in range(6)] == [True] * 5 + [False]
    granted = 0
    for _ in range(1000):
        budget.earn()
        granted += budget.spend()
    assert 95 <= granted <= 100


async def test_the_delay_of_a_second_request_settles_where_a_twentieth_is_slower() -> None:
    clock, entropy = HandClock(), SeededEntropy()
    hedging = Hedging(Fleet("query", [], 1, clock, entropy), clock.monotonic)
    for _ in range(5000):
        # Latencies between 0 and 80 ms, evenly: a twentieth is above 76.
        took_s = 0.08 * entropy.bits(20) / 2**20
        hedging.forget(Race(b"", clock.monotonic() - took_s))
    assert 0.066 < hedging.delay_s < 0.084
