"""How large an installation has to be: formulas over measured figures, and nothing else.

The figures are of docs/operations/sizing.md, which says how each was measured; where one depends on
the data, the larger one stands here.
"""

from __future__ import annotations

from math import ceil
from typing import Final, NamedTuple

GIB: Final = 1 << 30

# Bytes of a record whose JSON has `size` bytes: python -m bench.footprint.
LOG_RATIO: Final = 0.83
"""Of a text that hardly compresses, by LZ4 in batches; real flights took 0.39."""
STORED_RATIO: Final = 1.03
"""On MongoDB's disk, likewise; real flights took 0.50."""
DOCUMENT_MORE: Final = 247
"""In MongoDB's memory, uncompressed, beside the JSON: id, fence, version, dates, operation ids."""
ID_INDEX: Final = 29
INDEX: Final = 112
"""Of two fields, a text of six characters and a date."""
CACHED_RATIO: Final = 1.27
CACHED_MORE: Final = 413

# A second, of one core: python -m bench.embedded, python -m bench.apply.
PUTS: Final = 8_438
GETS: Final = 18_042
APPLIED_NEW: Final = 34_437
APPLIED_UPDATES: Final = 26_911
STORE_NEW: Final = 41_958
"""Of MongoDB, on what our worker left of two cores."""
STORE_UPDATES: Final = 13_972

WORKER_MIB: Final = 126
"""Resident memory of a process that serves and applies, with 12 partitions."""

# Choices, which are nobody's measurement.
BUSY: Final = 0.65
"""How busy a core may be: above that, latency rises faster than what is gained."""
FULL: Final = 0.7
"""How full a disk or a memory may be."""
STORE_CACHE: Final = 0.5
"""The part of a member's memory that MongoDB takes for its cache."""
MEMBER_RAM: Final = 128 * GIB
MEMBER_DISK: Final = 4096 * GIB
REPLICAS: Final = 3
FEWEST_PARTITIONS: Final = 12
PARTITIONS_A_WORKER: Final = 4
"""So that a worker more or less moves few of them, and there is room to grow."""
MOST_PARTITIONS: Final = 65_535


class Demand(NamedTuple):
    """What is asked of an installation.

    Attributes:
        records: how many there are to be kept.
        writes: a second, at the busiest time.
        reads: a second, likewise.
        size: bytes of a record's JSON, on average.
        updates: the part of the writes that meets a record that exists.
        indexes: of a collection.
        hot: the part of the records that is read again and again.
        retention_hours: how long the log is kept.
    """

    records: int
    writes: float
    reads: float
    size: int
    updates: float = 0.5
    indexes: int = 2
    hot: float = 0.1
    retention_hours: float = 24


class Line(NamedTuple):
    """One figure of a plan: of what, how much, and how it comes about."""

    part: str
    what: str
    value: float
    unit: str
    formula: str


def plan(demand: Demand) -> list[Line]:
    """The figures, in the order of the way of a write."""
    return [*_processes(demand), *_log(demand), *_store(demand), *_cache(demand)]


def _processes(d: Demand) -> list[Line]:
    serving = (d.writes / PUTS + d.reads / GETS) / BUSY
    applying = d.writes * ((1 - d.updates) / APPLIED_NEW + d.updates / APPLIED_UPDATES) / BUSY
    workers = max(2, ceil(applying))
    return [
        Line(
            "serving",
            "cores",
            max(2, ceil(serving)),
            "",
            f"(writes / {PUTS:,} + reads / {GETS:,}) / {BUSY}, at least 2",
        ),
        Line(
            "worker",
            "cores",
            workers,
            "",
            f"writes * (new / {APPLIED_NEW:,} + updates / {APPLIED_UPDATES:,}) / {BUSY},"
            " at least 2",
        ),
        Line("process", "memory", WORKER_MIB / FULL, "MiB", f"{WORKER_MIB} / {FULL}"),
        Line(
            "log",
            "partitions",
            _partitions(workers),
            "",
            f"{PARTITIONS_A_WORKER} * workers, in twelves, at least {FEWEST_PARTITIONS}",
        ),
    ]


def _partitions(workers: int) -> int:
    wanted = ceil(PARTITIONS_A_WORKER * workers / FEWEST_PARTITIONS) * FEWEST_PARTITIONS
    return min(max(wanted, FEWEST_PARTITIONS), MOST_PARTITIONS)


def _log(d: Demand) -> list[Line]:
    kept = d.writes * d.retention_hours * 3600
    return [
        Line(
            "log",
            "disk, all brokers",
            kept * LOG_RATIO * d.size * REPLICAS / FULL / GIB,
            "GiB",
            f"writes * retention * {LOG_RATIO} * size * {REPLICAS} replicas / {FULL}",
        )
    ]


def _store(d: Demand) -> list[Line]:
    indexes = d.records * (ID_INDEX + d.indexes * INDEX)
    disk = (d.records * STORED_RATIO * d.size + indexes) / FULL
    ram = (indexes + d.hot * d.records * (d.size + DOCUMENT_MORE)) / STORE_CACHE
    cores = d.writes * ((1 - d.updates) / STORE_NEW + d.updates / STORE_UPDATES) / BUSY
    shards = max(1, ceil(ram / MEMBER_RAM), ceil(disk / MEMBER_DISK))
    return [
        Line(
            "store",
            "shards, of 3 members",
            shards,
            "",
            f"memory / {MEMBER_RAM // GIB} GiB or disk / {MEMBER_DISK // GIB:,} GiB, the larger",
        ),
        Line(
            "store",
            "disk of a member",
            disk / shards / GIB,
            "GiB",
            f"records * ({STORED_RATIO} * size + {ID_INDEX} + indexes * {INDEX}) / {FULL} / shards",
        ),
        Line(
            "store",
            "memory of a member",
            ram / shards / GIB,
            "GiB",
            f"records * ({ID_INDEX} + indexes * {INDEX} + hot * (size + {DOCUMENT_MORE}))"
            f" / {STORE_CACHE} / shards",
        ),
        Line(
            "store",
            "cores of all primaries",
            max(1, ceil(cores)),
            "",
            f"writes * (new / {STORE_NEW:,} + updates / {STORE_UPDATES:,}) / {BUSY}",
        ),
    ]


def _cache(d: Demand) -> list[Line]:
    each = CACHED_RATIO * d.size + CACHED_MORE
    return [
        Line(
            "cache",
            "memory, a replica included",
            d.hot * d.records * each * 2 / FULL / GIB,
            "GiB",
            f"hot * records * ({CACHED_RATIO} * size + {CACHED_MORE}) * 2 / {FULL}",
        )
    ]
