"""What a run came to: the rows of the comparison, as ratios of medians, and as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from bench.applying import Rate
from bench.workloads import PERCENTILES, Figure

RECORDED: Final = Path("bench/results/side_by_side.json")


class Pair(NamedTuple):
    """Of one round."""

    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


class Row(NamedTuple):
    """A comparison.

    Attributes:
        name: in the JSON.
        work: what is done.
        against: what it is compared with.
        unit: of both figures.
        target: of the ratio; None where there is none.
        is_cost: a target is then the most, not the least.
    """

    name: str
    work: str
    against: str
    unit: str
    target: float | None = None
    is_cost: bool = False

    def is_met(self, ratio: float) -> bool:
        if self.target is None:
            return True
        return ratio <= self.target if self.is_cost else ratio >= self.target


ROWS: Final = (
    Row("put", "single durable writes, 64 connections", "Express + kafkajs", "/s", 4),
    Row("bulk", "bulk, records", "Express + kafkajs", "/s", 4),
    Row("get", "cached reads by id", "Express + ioredis", "/s", 4),
    Row("get_uncached", "uncached reads by id", "Express + MongoDB driver", "/s", 7),
    Row("page", "indexed list of 20 records", "Express + MongoDB driver", "/s", 2),
    Row("get_p99", "p99 of cached reads at Express's saturation", "Express", "ms", 0.25, True),
    Row("put_p99", "p99 of writes at Express's saturation", "Express", "ms", 0.25, True),
    Row("apply", "log to MongoDB, new records, one core", "sink connector", "/s", 1.5),
    Row("apply_cpu", "the same per CPU second of the process", "sink connector", "/s"),
    Row("receipt_p99", "p99 from write to read by receipt", "500 ms, promised", "ms", 1, True),
    Row("get_constant", "cached reads by id", "our HTTP server, a constant", "/s", 0.5),
    Row(
        "embedded_get_constant",
        "cached reads by id, embedded",
        "our HTTP server, a constant",
        "/s",
    ),
    Row("embedded_put", "embedded single durable writes", "Eve on MongoDB", "/s", 10),
    Row("memory", "memory of the process under load", "Express", "MiB", 1.5, True),
)


class Compared(NamedTuple):
    """A row, measured.

    Attributes:
        ours: the median.
        theirs: the median.
        ratio: of the medians.
        least: the lowest ratio of a round.
        most: the highest.
    """

    row: Row
    ours: float
    theirs: float
    ratio: float
    least: float
    most: float


class Results(NamedTuple):
    """Of a whole run, as they stand in the JSON.

    Attributes:
        ratios: by the names of rows.
        figures: the medians of everything, by work and side.
    """

    ratios: dict[str, dict[str, float]]
    figures: dict[str, dict[str, Any]]
    apply: dict[str, dict[str, float]]
    ceilings: dict[str, float]
    machine: dict[str, str]

    def compared(self) -> list[Compared]:
        return [
            Compared(row, **{k: v for k, v in self.ratios[row.name].items() if k != "rounds"})
            for row in ROWS
            if row.name in self.ratios
        ]


def written(
    pairs: Mapping[str, Sequence[Pair]],
    figures: Mapping[str, Sequence[Figure]],
    rates: Mapping[str, Sequence[Rate]],
    ceilings: Mapping[str, Sequence[float]],
) -> Results:
    """What was measured, in medians."""
    return Results(
        {name: _ratio(some) for name, some in pairs.items()},
        {name: _medians(some) for name, some in figures.items()},
        {
            name: {
                "per_second": median(one.wall for one in some),
                "per_cpu_second": median(one.cpu for one in some),
            }
            for name, some in rates.items()
        },
        {name: median(some) for name, some in ceilings.items()},
        {
            "machine": platform.machine(),
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
        },
    )


def read(path: Path) -> Results:
    return Results(**json.loads(path.read_text()))


def write(results: Results, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results._asdict(), indent=1) + "\n")


def _ratio(pairs: Sequence[Pair]) -> dict[str, float]:
    ours, theirs = median(one.ours for one in pairs), median(one.theirs for one in pairs)
    ratios = [one.ratio for one in pairs]
    return {
        "ours": ours,
        "theirs": theirs,
        "ratio": ours / theirs,
        "least": min(ratios),
        "most": max(ratios),
        "rounds": len(pairs),
    }


def _medians(figures: Sequence[Figure]) -> dict[str, Any]:
    parts = zip(*(one.latencies for one in figures), strict=True)
    return {
        "per_second": median(one.rate for one in figures),
        "least": min(one.rate for one in figures),
        "most": max(one.rate for one in figures),
        "per_cpu_second": median(one.cpu_rate for one in figures),
        "p50_ms": median(one.p50_ms for one in figures),
        "p99_ms": median(one.p99_ms for one in figures),
        "resident_mib": median(one.resident_mib for one in figures),
        "load_cpu": max(one.load_cpu for one in figures),
        "refused": sum(one.refused for one in figures),
        "unanswered": sum(one.unanswered for one in figures),
        "latencies_ms": dict(zip(map(str, PERCENTILES), map(median, parts), strict=True)),
    }
