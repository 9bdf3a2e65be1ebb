"""Penstock beside the stacks that it replaces: `make bench`, and `make bench-smoke` in two minutes.

The same servers, the same cores, in turns, round after round, so that a change of the machine's
speed meets all sides. What is compared are ratios of medians. Writes a table and plots into
docs/performance.md and the figures into a file beside it, unless a ratio is worse than the one
recorded there (`bench.regression`): then it says so, ends with 1, and writes with `--accept` only.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple, TypeVar

import uvloop

from bench import regression, report
from bench.applying import OfConnector, OfSide, Rate
from bench.ceilings import all_ceilings
from bench.ground import Ground, prepared
from bench.load import run
from bench.records import READ
from bench.results import RECORDED, Pair, Results, read, written
from bench.sides import LINES, READS, Express, Penstock, Side
from bench.workloads import Figure, Numbers, Workloads

_SATURATED: Final = 0.9
"""The open loops offer this part of what Express did in the closed one: at all of it, its queue
would grow for as long as one looks, and a ratio would say nothing."""
_PROMISE_MS: Final = 500.0
_TRIES: Final = 5


T = TypeVar("T")


class Plan(NamedTuple):
    """How long it takes."""

    seconds: float
    rounds: int
    applied: int
    warm_up_s: float
    tolerance: float


FULL: Final = Plan(6.0, 3, 60_000, 3.0, 0.25)
SMOKE: Final = Plan(1.0, 1, 10_000, 0.5, 0.6)


class Measuring:
    """All that is measured, a round at a time."""

    def __init__(self, ground: Ground, plan: Plan, stack: ExitStack) -> None:
        self._ground, self._plan = ground, plan
        self._works, self._numbers = Workloads(), Numbers()
        self._acknowledged: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._memory = {"Penstock": 0.0, "Express": 0.0}
        self._appliers = [
            OfSide(ground.penstock, ground.worker, ground.stored["Penstock"]),
            OfSide(ground.express, ground.consumer, ground.stored["Express"]),
        ]
        self._connectors = {
            "replace": OfConnector(stack, ground, "ReplaceOneDefaultStrategy"),
            "insert": OfConnector(stack, ground, "InsertOneDefaultStrategy"),
        }
        self.pairs: dict[str, list[Pair]] = defaultdict(list)
        self.figures: dict[str, list[Figure]] = defaultdict(list)
        self.rates: dict[str, list[Rate]] = defaultdict(list)
        self.ceilings: dict[str, list[float]] = defaultdict(list)

    def prepare(self) -> None:
        """Collections, the records that are read, and code that is warm."""
        ground = self._ground
        for name in ("puts", "bulks", "receipts", "applied"):
            ground.penstock.create(name, {})
        ground.embedded.create("puts", {})
        for side in (ground.penstock, ground.express):
            fill(side)
            ground.stored[side.name].await_count(READS, READ)
        fill(ground.embedded)
        for child in (ground.worker, ground.consumer):
            child.pause()
        for connector in self._connectors.values():
            connector.rest()
        for side in (ground.penstock, ground.express, ground.embedded):
            self._works.all_read(side)
        self._loops(self._plan.warm_up_s, 0)
        self._forget()

    def round(self, number: int) -> None:
        plan = self._plan
        self._loops(plan.seconds, number)
        self._at_saturation(plan.seconds, number)
        self._drain()
        self._receipts(plan.seconds)
        self._apply(number)
        self._alone(plan.seconds)

    def results(self) -> Results:
        return written(self.pairs, self.figures, self.rates, self.ceilings)

    def _forget(self) -> None:
        """What was measured; not what was written."""
        for each in (self.pairs, self.figures, self.rates, self.ceilings):
            each.clear()
        self._memory = dict.fromkeys(self._memory, 0.0)

    def _loops(self, seconds: float, number: int) -> None:
        """Closed loops, of both sides in turn."""
        works, numbers = self._works, self._numbers
        kinds: dict[str, Callable[[Side], Figure]] = {
            "put": lambda one: works.puts(one, "puts", numbers.of(one.name, "puts"), seconds),
            "bulk": lambda one: works.bulks(one, "bulks", numbers.of(one.name, "bulks"), seconds),
            "get": lambda one: works.gets(one, seconds, fresh=False),
            "get_uncached": lambda one: works.gets(one, seconds, fresh=True),
            "page": lambda one: works.pages(one, seconds),
        }
        for place, (name, work) in enumerate(kinds.items()):
            both = self._both(name, work, number + place)
            self.pairs[name].append(Pair(both["Penstock"].rate, both["Express"].rate))
        self.pairs["memory"].append(Pair(self._memory["Penstock"], self._memory["Express"]))
        self._embedded(seconds, number)

    def _embedded(self, seconds: float, number: int) -> None:
        ground, works, numbers = self._ground, self._works, self._numbers
        figures: dict[str, Figure] = {}
        for name in _turned(["eve", "embedded"], number):
            if name == "eve":
                side, into = ground.eve, "records"
                figures[name] = works.puts(side, into, numbers.of("Eve", into), seconds)
            else:
                fresh = numbers.of("embedded", "puts")
                figures[name] = works.puts(ground.embedded, "puts", fresh, seconds)
            self._note(f"embedded_put/{name}", figures[name])
        self.pairs["embedded_put"].append(Pair(figures["embedded"].rate, figures["eve"].rate))

    def _at_saturation(self, seconds: float, number: int) -> None:
        works, numbers = self._works, self._numbers
        get_rate = _SATURATED * self.figures["get/Express"][-1].rate
        put_rate = _SATURATED * self.figures["put/Express"][-1].rate
        kinds: dict[str, Callable[[Side], Figure]] = {
            "get_p99": lambda one: works.gets_at(one, get_rate, seconds),
            "put_p99": lambda one: works.puts_at(
                one, "puts", numbers.of(one.name, "puts"), put_rate, seconds
            ),
        }
        for place, (name, work) in enumerate(kinds.items()):
            both = self._both(name, work, number + place)
            self.pairs[name].append(Pair(both["Penstock"].p99_ms, both["Express"].p99_ms))

    def _receipts(self, seconds: float) -> None:
        """Writes and reads of them, half as many requests as puts alone in the closed loop."""
        ground = self._ground
        rate = self.figures["put/Penstock"][-1].rate / 4
        ground.worker.resume()
        fresh = self._numbers.of("Penstock", "receipts")
        figure = self._works.puts_read(ground.penstock, "receipts", fresh, rate, seconds)
        self._note("receipt_p99/Penstock", figure)
        self.pairs["receipt_p99"].append(Pair(figure.p99_ms, _PROMISE_MS))
        ground.worker.pause()

    def _apply(self, number: int) -> None:
        appliers = {
            "Penstock": self._appliers[0],
            "Express": self._appliers[1],
            **self._connectors,
        }
        for name in _turned(list(appliers), number):
            rate = appliers[name].measure(self._plan.applied)
            self.rates[name].append(rate)
            print(f"  apply {name:12} {rate.wall:10,.0f}/s  {rate.cpu:10,.0f} per CPU second")
        last = {name: rates[-1] for name, rates in self.rates.items()}
        self.pairs["apply"].append(Pair(last["Penstock"].wall, last["replace"].wall))
        self.pairs["apply_cpu"].append(Pair(last["Penstock"].cpu, last["replace"].cpu))

    def _alone(self, seconds: float) -> None:
        """What only we have: the constant, our embedded reads, the ceilings."""
        ground, works = self._ground, self._works
        constant = self._note("constant/constant", works.constant(ground.constant, seconds))
        embedded = works.gets(ground.embedded, seconds, fresh=False)
        self._note("embedded_get/embedded", embedded)
        cached = self.figures["get/Penstock"][-1].rate
        self.pairs["get_constant"].append(Pair(cached, constant.rate))
        self.pairs["embedded_get_constant"].append(Pair(embedded.rate, constant.rate))
        for name, rate in all_ceilings(ground, seconds / 3).items():
            self.ceilings[name].append(rate)
            print(f"  ceiling {name:42} {rate:10,.0f}/s")

    def _both(self, name: str, work: Callable[[Side], Figure], turn: int) -> dict[str, Figure]:
        ground = self._ground
        sides: list[Penstock | Express] = [ground.express, ground.penstock]
        figures = {}
        for side in _turned(sides, turn):
            figure = figures[side.name] = self._note(f"{name}/{side.name}", work(side))
            self._memory[side.name] = max(self._memory[side.name], figure.resident_mib)
            if name.startswith(("put", "bulk")):
                size = LINES if name == "bulk" else 1
                there = self._acknowledged[side.name, "bulks" if name == "bulk" else "puts"]
                there[0] += size * figure.done
                there[1] += size * (figure.refused + figure.unanswered)
        return figures

    def _drain(self) -> None:
        """All that was acknowledged gets into the stores, and is what was written."""
        children = (self._ground.worker, self._ground.consumer)
        for child in children:
            child.resume()
        for (side, collection), (count, doubtful) in self._acknowledged.items():
            stored = self._ground.stored[side]
            stored.await_count(collection, count, doubtful)
            if not doubtful:
                stored.check(collection, iter((0, count // 2, count - 1)))
        for child in children:
            child.pause()

    def _note(self, name: str, figure: Figure) -> Figure:
        self.figures[name].append(figure)
        print(
            f"  {name:24} {figure.rate:10,.0f}/s  p50 {figure.p50_ms:7.2f}"
            f"  p99 {figure.p99_ms:7.2f} ms  {figure.cpu_rate:10,.0f} per CPU second"
            f"  {figure.resident_mib:5.0f} MiB  load {figure.load_cpu:4.0%}"
            + (f"  {figure.refused} refused" if figure.refused else "")
            + (f"  {figure.unanswered} unanswered" if figure.unanswered else ""),
            flush=True,
        )
        return figure


def _turned(ones: Sequence[T], turn: int) -> list[T]:
    return list(ones) if turn % 2 == 0 else list(ones)[::-1]


def fill(side: Side) -> None:
    """The records that are read; what was refused comes again."""
    for first in range(0, READ, LINES):
        for attempt in range(_TRIES):
            at, left = side.child, iter([side.bulk(READS, first)])
            try:
                uvloop.run(run(at.host, at.port, [lambda left=left: next(left, None)]))  # type: ignore[misc]  # a lambda's default is not inferred
                break
            except AssertionError:
                if attempt == _TRIES - 1:
                    raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="in two minutes; records nothing")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--accept", action="store_true", help="record also what is worse")
    chosen = parser.parse_args()
    plan = SMOKE if chosen.smoke else FULL
    plan = plan._replace(
        rounds=chosen.rounds or plan.rounds, seconds=chosen.seconds or plan.seconds
    )
    with prepared() as ground, ExitStack() as stack:
        measuring = Measuring(ground, plan, stack)
        print("preparing and warming up", flush=True)
        measuring.prepare()
        for number in range(plan.rounds):
            print(f"round {number + 1} of {plan.rounds}", flush=True)
            measuring.round(number)
        results = measuring.results()
    print("\n".join(report.table(results)))
    worse = regression.worse(read(RECORDED), results, plan.tolerance) if RECORDED.exists() else []
    for sentence in worse:
        print(f"worse than recorded: {sentence}")
    if not chosen.smoke and (not worse or chosen.accept):
        report.record(results)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
