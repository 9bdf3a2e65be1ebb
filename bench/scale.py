"""Whether queries stay as fast while a collection grows: 10 thousand to 10 million flights.

Real flights, repeated a year later each time under another aircraft's number, are written straight
into the store of an engine; then the query service asks the same questions of a small and of a
large collection in turn, so that a change of the machine's speed meets all of them. Writes a table
into docs/performance.md, a plot and a JSON file beside it.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import matplotlib as mpl
import uvloop
from matplotlib import pyplot as plt
from tests.support.flights import rows, unpack
from tests.support.servers.mongodb import MongoDB

from bench.load import share
from penstock.adapters.embedded.cache import MemoryCache
from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.embedded.store import EmbeddedStore
from penstock.adapters.mongodb.store import MongoStore
from penstock.ports.store import Store
from penstock.query.guard import Limits
from penstock.query.page import Search
from penstock.query.query import Query
from penstock.records.aggregate import Aggregation, Function, GroupKey, Measure
from penstock.records.collection import Collection, Rules, Settings, Target
from penstock.records.document import encode
from penstock.records.field import field
from penstock.records.filter import parse_filter
from penstock.records.index import IndexSettings, ordered
from penstock.records.position import position
from penstock.records.record import State
from penstock.telemetry.metrics import Metrics

SIZES = (10_000, 1_000_000, 10_000_000)
BATCH = 4_000
ASKED = 400
ROUNDS = 3
WARM_UP = 50
PAGE = 20
DEEP = 10_000
SPREAD = 100
"""Pages of which one is asked for, up to the deep one."""
LIMIT_S = 30.0
INDEXES = (
    IndexSettings(("data.tailnum", "-data.time_hour")),
    IndexSettings(("-data.time_hour",)),
)
NEWEST = (ordered("-data.time_hour"),)
REPORT = Path("docs/performance.md")
PLOT = Path("docs/plots/scale.png")
FIGURES = Path("bench/results/scale.json")


class Held(NamedTuple):
    """A collection of so many flights, and what is known of it."""

    size: int
    target: Target
    years: int
    deep_tokens: list[str]


def flights(size: int, source: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """So many: the year's, and again a year later, with other aircraft."""
    copy = 0
    left = size
    while left:
        for flight in source[:left]:
            later = dict(flight)
            if "tailnum" in later:
                later["tailnum"] = f"{later['tailnum']}-{copy}"
            later["time_hour"] = f"{int(later['time_hour'][:4]) + copy}{later['time_hour'][4:]}"
            yield later
        left -= min(left, len(source))
        copy += 1


def states(size: int, source: list[dict[str, Any]]) -> Iterator[State]:
    for number, flight in enumerate(flights(size, source)):
        where = position(1, 0, number)
        moment = 1_700_000_000_000 + number
        yield State(record_id(number), where, where, moment, moment, encode(flight))


def record_id(number: int) -> str:
    """Rising, as those that Penstock makes."""
    return f"{number:08x}"


async def hold(store: Store, query: Query, size: int, source: list[dict[str, Any]]) -> Held:
    began = time.monotonic()
    settings = Settings(indexes=INDEXES)
    collection = Collection(f"scale{size}", "t", f"scale{size}", 1, settings, 0, 0)
    target = Target("t", collection, Rules(settings))
    each = states(size, source)
    while part := list(islice(each, BATCH)):
        async with store.batch() as batch:
            assert not await batch.insert(collection.id, part)
    loaded = time.monotonic()
    for index in target.rules.indexes:
        await store.build(collection.id, index)
    built = time.monotonic()
    print(f"{size:>12,} loaded in {loaded - began:.0f} s, indexed in {built - loaded:.0f} s")
    tokens = await deep(query, target, min(DEEP, size // PAGE - 1))
    return Held(size, target, -(-size // len(source)), tokens)


async def deep(query: Query, target: Target, wanted: int) -> list[str]:
    """The tokens of a page far behind and of those before it, reached by larger pages.

    One page alone would tell of its records: where they lie apart, it takes longer.
    """
    before = (wanted - SPREAD) * PAGE
    sizes = [*[1_000] * (before // 1_000), before % 1_000, *[PAGE] * (SPREAD - 1)]
    tokens: list[str] = []
    token = None
    for size in filter(None, sizes):
        token = await ask_page(query, target, Search(sort=NEWEST, size=size, token=token))
        assert token is not None
        tokens.append(token)
    return tokens[-SPREAD:]


async def ask_page(query: Query, target: Target, search: Search) -> str | None:
    aged = await query.page(target, search, (), fresh=True, deadline=time.monotonic() + LIMIT_S)
    assert len(aged.page.records) == search.size or aged.page.next_page_token is None
    assert aged.page.records
    return aged.page.next_page_token


class Questions:
    """What is asked, with other values each time."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._chance = random.Random(1)
        self.all: dict[str, Callable[[Held], Awaitable[object]]] = {
            "get by id": self.get,
            "indexed filter": self.filter,
            "first page": self.first_page,
            f"page {DEEP:,}": self.deep_page,
            "aggregate of a day": self.aggregate,
        }

    async def get(self, held: Held) -> object:
        one = record_id(self._chance.randrange(held.size))
        until = time.monotonic() + LIMIT_S
        return await self._query.fetch(held.target, one, (), fresh=True, deadline=until)

    async def filter(self, held: Held) -> object:
        asked = parse_filter({"data.time_hour": self._day(held)})
        return await ask_page(self._query, held.target, Search(filter=asked, size=PAGE))

    async def first_page(self, held: Held) -> object:
        return await ask_page(self._query, held.target, Search(sort=NEWEST, size=PAGE))

    async def deep_page(self, held: Held) -> object:
        token = self._chance.choice(held.deep_tokens)
        search = Search(sort=NEWEST, size=PAGE, token=token)
        return await ask_page(self._query, held.target, search)

    async def aggregate(self, held: Held) -> object:
        wanted = Aggregation(
            (GroupKey(field("data.carrier")),),
            (Measure(Function.COUNT), Measure(Function.AVERAGE, field("data.dep_delay"))),
        )
        groups = await self._query.aggregate(
            held.target,
            parse_filter({"data.time_hour": self._day(held)}),
            wanted,
            time.monotonic() + LIMIT_S,
            allow_scan=False,
        )
        assert groups
        return groups

    def _day(self, held: Held) -> dict[str, str]:
        """One that is there in the smallest collection too: of January."""
        year, day = 2013 + self._chance.randrange(held.years), self._chance.randrange(2, 10)
        return {"$gte": f"{year}-01-{day:02}", "$lt": f"{year}-01-{day + 1:02}"}


async def measure(store: Store, sizes: list[int]) -> dict[str, dict[int, list[float]]]:
    clock, entropy = SystemClock(), SystemEntropy()
    cache = MemoryCache(1 << 20, clock, entropy)
    query = Query(
        store, cache, clock, entropy, b"0" * 32, Limits(10_000, 2, 60.0), Metrics("serve", "bench")
    )
    with tempfile.TemporaryDirectory() as folder:
        source = [dict(one) for one in rows(unpack(Path(folder)))]
    held = [await hold(store, query, size, source) for size in sizes]
    questions = Questions(query)
    times: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(WARM_UP + ROUNDS * ASKED):
        for name, ask in questions.all.items():
            for one in held:
                began = time.perf_counter()
                await ask(one)
                taken = time.perf_counter() - began
                if number >= WARM_UP:
                    times[name][one.size].append(1000 * taken)
    await store.close()
    return times


Summary = dict[str, dict[str, dict[str, float]]]
"""Of an engine: `p50_ms` and `p99_ms` of each question, by the size of the collection."""


def summary(times: dict[str, dict[int, list[float]]]) -> Summary:
    return {
        name: {
            str(size): {"p50_ms": median(values), "p99_ms": share(sorted(values), 0.99)}
            for size, values in by_size.items()
        }
        for name, by_size in times.items()
    }


def report(engine: str, figures: Summary) -> list[str]:
    """The table of an engine, in ms."""
    first, last = figures["first page"], figures[f"page {DEEP:,}"]
    sizes = list(first)
    heads = " | ".join(f"{int(size):,}" for size in sizes)
    lines = [
        f"### {engine}",
        "",
        f"| p50 / p99 in ms | {heads} | p99, largest to smallest |",
        f"|---|{'---|' * (len(sizes) + 1)}",
    ]
    for name, by_size in figures.items():
        cells = " | ".join(f"{one['p50_ms']:.2f} / {one['p99_ms']:.2f}" for one in by_size.values())
        ratio = by_size[sizes[-1]]["p99_ms"] / by_size[sizes[0]]["p99_ms"]
        lines.append(f"| {name} | {cells} | {ratio:.2f} |")
    deep, tail = (last[sizes[-1]][one] / first[sizes[-1]][one] for one in ("p50_ms", "p99_ms"))
    told = f"{deep:.2f} times the first page (p50; {tail:.2f} by p99)"
    lines += ["", f"Page {DEEP:,} of {int(sizes[-1]):,} costs {told}.", ""]
    return lines


def plot(figures: dict[str, Summary]) -> None:
    mpl.use("Agg")
    figure, axes = plt.subplots(1, len(figures), figsize=(5 * len(figures), 4), squeeze=False)
    for axis, (engine, own) in zip(axes[0], figures.items(), strict=True):
        for name, by_size in own.items():
            tails = [one["p99_ms"] for one in by_size.values()]
            axis.plot(list(map(int, by_size)), tails, "o-", label=name)
        axis.set(xscale="log", yscale="log", xlabel="records", ylabel="p99, ms", title=engine)
        axis.legend(fontsize=7)
    figure.tight_layout()
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="+", default=["embedded", "mongodb"])
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--folder", type=Path, help="for the data: some 15 GB")
    chosen = parser.parse_args()
    # What is not asked for stays as it was.
    figures: dict[str, Summary] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        for engine in chosen.engines:
            if engine == "embedded":
                store: Store = EmbeddedStore(Path(folder) / "store.db", SystemClock())
                figures["SQLite"] = summary(uvloop.run(measure(store, chosen.sizes)))
                continue
            server = MongoDB(Path(folder))
            try:
                server.start()
                store = MongoStore(server.url, "scale", timeout_s=60)
                figures["MongoDB"] = summary(uvloop.run(measure(store, chosen.sizes)))
            finally:
                server.stop()
    lines = [line for name, own in figures.items() for line in report(name, own)]
    print("\n".join(lines))
    write(lines, figures)
    plot(figures)


def write(lines: list[str], figures: dict[str, Summary]) -> None:
    """Put the tables between their marks, and the figures into a file."""
    start, end = "<!-- scale: made by bench.scale -->", "<!-- scale: end -->"
    text = REPORT.read_text()
    head, _, rest = text.partition(start)
    _, _, tail = rest.partition(end)
    REPORT.write_text(f"{head}{start}\n\n" + "\n".join(lines) + f"\n{end}{tail}")
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
