"""What a server does when more is asked of it than it can do: `python -m bench.overload`.

The embedded server on one core, the load on the other. The peak is what a closed loop gets out of
it; then requests are due at half, once, one and a half times and twice that rate, whatever comes of
them (`open_loop`), while its health is asked for every 50 ms. Last, reads at a fifth of their peak
are sent alone, and again beside twice the writes that it can take. Writes a table into
docs/performance.md, a plot and a JSON file beside it. `--quick`: shorter, and nothing is written.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import uvloop
from matplotlib import pyplot as plt

from bench.embedded import (
    BODY,
    KEY,
    READ_IDS,
    Server,
    pinned,
    repeated,
    serve_command,
)
from bench.load import Exchange, request, run, share
from bench.open_loop import Answers, Load, Stream, drive, steady
from bench.probe import probing

FACTORS = (0.5, 1.0, 1.5, 2.0)
BESIDE = 0.2
"""Of their peak, the reads that are sent alone and beside too many writes."""
POOL = 2_000
"""Connections of all streams together, of 4,096 that the server takes by default: those of the run
before may still be closing. What waits for a free one is seen by no server."""
PEAK_CONNECTIONS = (64, 256)
DRAIN_S = 20.0
REPORT = Path("docs/performance.md")
PLOT = Path("docs/plots/overload.png")
FIGURES = Path("bench/results/overload.json")

Figures = dict[str, Any]


def warm(server: Server) -> None:
    """The collections, and the records that are read, in the cache."""
    for name in ("puts", "reads"):
        server.ask("PUT", f"/v1/collections/{name}", b'{"cache":{"ttl":"10m"}}')
    ids = [f"read-{n:06x}" for n in range(READ_IDS)]
    lines = b"".join(b'{"id":"%b","data":%b}\n' % (one.encode(), BODY) for one in ids)
    server.ask("POST", "/v1/collections/reads/records:bulk", lines, "application/x-ndjson")
    drain(server)
    for start in range(0, READ_IDS, 500):
        asked = json.dumps({"ids": ids[start : start + 500]}).encode()
        server.ask("POST", "/v1/collections/reads/records:get", asked)


def reading() -> Callable[[], Exchange]:
    requests = [
        Exchange(request("GET", f"/v1/collections/reads/records/read-{n:06x}", KEY))
        for n in range(READ_IDS)
    ]
    random.Random(1).shuffle(requests)
    return itertools.cycle(requests).__next__


def writing(run_id: int) -> Callable[[], Exchange]:
    """Of new records: each run has its own."""
    before, after = request(
        "PUT", "/v1/collections/puts/records/@", KEY, BODY, "application/json"
    ).split(b"@")
    numbers = itertools.count()
    return lambda: Exchange(b"%b%02x-%08x%b" % (before, run_id, next(numbers), after), b"202")


def closed_loop_peak(server: Server, workload: str, seconds: float) -> float:
    """Requests a second, with as many connections as get most out of it."""
    best = 0.0
    for connections in PEAK_CONNECTIONS:
        following = reading() if workload == "reads" else writing(connections % 256)
        until = time.perf_counter() + seconds
        one = limited(following, until)
        outcome = asyncio.run(run(server.host, server.port, [one] * connections))
        best = max(best, outcome.rate)
        drain(server)
    return best


def limited(following: Callable[[], Exchange], until: float) -> Callable[[], Exchange | None]:
    return lambda: following() if time.perf_counter() < until else None


def drain(server: Server) -> float:
    """Seconds until all that was acknowledged is applied."""
    began = time.perf_counter()
    (answer,) = server.ask("PUT", f"/v1/collections/puts/records/last-{time.time_ns()}", b"{}")
    while server.ask("GET", f"/v1/receipts/{answer['receipt']}")[0]["status"] == "durable":
        if time.perf_counter() - began > DRAIN_S:
            break
        time.sleep(0.02)
    return time.perf_counter() - began


class Bench:
    """One server, and what is asked of it."""

    def __init__(self, server: Server, seconds: float) -> None:
        self._server = server
        self._seconds = seconds
        self._runs = itertools.count(1)

    def peaks(self) -> dict[str, float]:
        return {
            one: closed_loop_peak(self._server, one, self._seconds / 2)
            for one in ("reads", "writes")
        }

    def drive(self, **rates: float) -> Figures:
        """Send these rates of reads and writes; what came of it."""
        nexts = {"reads": reading(), "writes": writing(next(self._runs))}
        share_of_pool = POOL // len(rates)
        streams = {
            name: Stream(steady(rate), nexts[name], share_of_pool) for name, rate in rates.items()
        }
        host, port, pid = self._server
        cpu = cpu_s(pid)
        with probing(host, port, pid) as seen:
            load = asyncio.run(drive(host, port, streams, self._seconds))
        figures = told(load, seen)
        figures["server_cpu"] = (cpu_s(pid) - cpu) / self._seconds
        figures["drain_s"] = drain(self._server)
        return figures

    def sweep(self, peaks: dict[str, float]) -> Iterator[tuple[str, float, Figures]]:
        half = {name: peak / 2 for name, peak in peaks.items()}
        workloads = {"reads": {"reads": peaks["reads"]}, "writes": {"writes": peaks["writes"]}}
        for workload, rates in (workloads | {"mixed": half}).items():
            for factor in FACTORS:
                sent = {name: factor * rate for name, rate in rates.items()}
                yield workload, factor, self.drive(**sent)


def cpu_s(pid: int) -> float:
    """The processor time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def told(load: Load, seen: dict[str, Any]) -> Figures:
    health = seen["health_ms"]
    return {
        "streams": {name: told_stream(one) for name, one in load.answers.items()},
        "goodput": sum(one.goodput for one in load.answers.values()),
        "health_p50_ms": share(health, 0.5),
        "health_p99_ms": share(health, 0.99),
        "health_most_ms": health[-1],
        "health_failed": seen["failed"],
        "rss_mib": seen["rss_mib"],
        "load_cpu": load.cpu_share,
        "load_late_p99_ms": share(load.late_ms, 0.99),
    }


def told_stream(answers: Answers) -> Figures:
    everything = answers.all
    return {
        "due_per_s": answers.due / answers.seconds,
        "goodput": answers.goodput,
        "refused_per_s": len(answers.refused) / answers.seconds,
        "failed": answers.unanswered,
        "p50_ms": share(everything, 0.5),
        "p99_ms": share(everything, 0.99),
        "p999_ms": share(everything, 0.999),
        "served_p50_ms": share(answers.served, 0.5),
        "served_p99_ms": share(answers.served, 0.99),
        "refused_p50_ms": share(answers.refused, 0.5),
        "refused_p99_ms": share(answers.refused, 0.99),
    }


def generator_capacity(seconds: float) -> float:
    """What the generator gets out of a server that does nothing: what it can do at least."""
    with pinned([sys.executable, "-m", "bench.constant", "--nothing"], 0) as server:
        until = time.perf_counter() + seconds
        asked = request("GET", "/v1/collections/reads/records/read-000001", KEY)
        nexts = [repeated(asked, until) for _ in range(64)]
        return asyncio.run(run(server.host, server.port, nexts, b"200")).rate


def measured(seconds: float) -> Figures:
    figures: Figures = {"generator_per_s": generator_capacity(seconds / 2), "sweep": {}}
    print(f"the generator gets {figures['generator_per_s']:,.0f}/s out of a bare server")
    with tempfile.TemporaryDirectory() as folder, pinned(serve_command(folder), 0) as server:
        warm(server)
        bench = Bench(server, seconds)
        peaks = figures["peaks"] = bench.peaks()
        print("peaks", {name: round(peak) for name, peak in peaks.items()})
        for workload, factor, found in bench.sweep(peaks):
            figures["sweep"].setdefault(workload, {})[str(factor)] = found
            print(workload, factor, json.dumps(rounded(found)))
        few = BESIDE * peaks["reads"]
        figures["beside"] = {"alone": bench.drive(reads=few)}
        figures["beside"]["writes at 2.0"] = bench.drive(reads=few, writes=2 * peaks["writes"])
        print("beside", json.dumps(rounded(figures["beside"])))
    return figures


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return round(value, 2) if isinstance(value, float) else value


def peak_of(sweep: dict[str, Figures]) -> float:
    return max(float(one["goodput"]) for one in sweep.values())


def report(figures: Figures) -> list[str]:
    lines = [
        "| load | due /s | goodput | of its peak | p50 ms | p99 | p99.9 | refused | health | MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for workload, sweep in figures["sweep"].items():
        peak = peak_of(sweep)
        lines += [row(f"{workload}, {factor}", one, peak) for factor, one in sweep.items()]
    peaks, capacity = figures["peaks"], figures["generator_per_s"]
    closed = (
        f"In a closed loop: {peaks['reads']:,.0f} reads and {peaks['writes']:,.0f} writes a second."
        f" The generator gets {capacity:,.0f} out of a server that does nothing."
    )
    alone, beside = (one["streams"]["reads"] for one in figures["beside"].values())
    told = " and ".join(
        f"{one['served_p50_ms']:.1f} / {one['served_p99_ms']:.1f} ms {how}"
        for one, how in ((alone, "alone"), (beside, "beside twice the writes that can be served"))
    )
    ratio = beside["served_p99_ms"] / alone["served_p99_ms"]
    reads = f"Reads at {BESIDE:.0%} of their peak, p50 / p99: {told}; {ratio:.1f} times by p99."
    return [*lines, "", closed, "", reads, ""]


def row(name: str, found: Figures, peak: float) -> str:
    streams = list(found["streams"].values())
    worst = {
        key: max(one[key] for one in streams)
        for key in ("p50_ms", "p99_ms", "p999_ms", "refused_p50_ms", "refused_p99_ms")
    }
    due = sum(one["due_per_s"] for one in streams)
    return (
        f"| {name} | {due:,.0f} | {found['goodput']:,.0f} | {found['goodput'] / peak:.2f}"
        f" | {worst['p50_ms']:.1f} | {worst['p99_ms']:.1f} | {worst['p999_ms']:.1f}"
        f" | {worst['refused_p50_ms']:.1f} / {worst['refused_p99_ms']:.1f}"
        f" | {found['health_most_ms']:.1f} | {found['rss_mib']} |"
    )


def plot(figures: Figures) -> None:
    mpl.use("Agg")
    sweeps = figures["sweep"]
    figure, axes = plt.subplots(2, len(sweeps), figsize=(4 * len(sweeps), 6), sharex=True)
    for place, (workload, sweep) in enumerate(sweeps.items()):
        factors = [float(one) for one in sweep]
        due = [
            sum(one["due_per_s"] for one in found["streams"].values()) for found in sweep.values()
        ]
        upper, lower = axes[0][place], axes[1][place]
        upper.plot(factors, due, "--", color="grey", label="due")
        upper.plot(factors, [found["goodput"] for found in sweep.values()], "o-", label="served")
        upper.set(title=workload, ylabel="a second", ylim=(0, None))
        upper.legend(fontsize=7)
        for key in ("p50_ms", "p99_ms", "p999_ms", "refused_p99_ms"):
            worst = [
                max(0.1, *(one[key] for one in found["streams"].values()))
                for found in sweep.values()
            ]
            lower.plot(factors, worst, "o-", label=key.removesuffix("_ms").replace("_", " "))
        lower.axhline(500, color="grey", linestyle="--")
        lower.set(yscale="log", xlabel="of what it can serve", ylabel="ms")
        lower.legend(fontsize=7)
    figure.tight_layout()
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=80)


def write(lines: list[str], figures: Figures) -> None:
    """Put the table between its marks, and the figures into a file."""
    start, end = "<!-- overload: made by bench.overload -->", "<!-- overload: end -->"
    head, _, rest = REPORT.read_text().partition(start)
    _, _, tail = rest.partition(end)
    REPORT.write_text(f"{head}{start}\n\n" + "\n".join(lines) + f"\n{end}{tail}")
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(rounded(figures), indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.install()
    os.sched_setaffinity(0, {1})
    figures = measured(2.0 if chosen.quick else chosen.seconds)
    lines = report(figures)
    print("\n".join(lines))
    if not chosen.quick:
        write(lines, figures)
        plot(figures)


if __name__ == "__main__":
    main()
