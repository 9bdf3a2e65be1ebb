"""The tables of docs/operations/sizing.md, worked out by what `penstock plan` works out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.cli import sizing
from penstock.cli.plan import figure
from penstock.cli.sizing import Demand, plan

_BEGIN: Final = "<!-- plan: made by deploy.render -->\n"
_END: Final = "<!-- plan: end -->\n"
_SIZES: Final = (
    (1_000_000, 100),
    (10_000_000, 1_000),
    (100_000_000, 5_000),
    (1_000_000_000, 20_000),
    (10_000_000_000, 50_000),
)
_SIZE: Final = 300
_MEASURED: Final = (
    (
        "puts",
        sizing.PUTS,
        "a second and core: `python -m bench.embedded`, the worker on the same core",
    ),
    ("gets", sizing.GETS, "a second and core, by id and cached: `python -m bench.embedded`"),
    ("new applied", sizing.APPLIED_NEW, "a second of our own CPU, from Kafka: `bench.apply`"),
    ("updates applied", sizing.APPLIED_UPDATES, "a second of our own CPU: `bench.apply`"),
    (
        "store, new",
        sizing.STORE_NEW,
        "a second, MongoDB on what we left of two cores: `bench.apply`",
    ),
    ("store, updates", sizing.STORE_UPDATES, "likewise"),
    ("log", sizing.LOG_RATIO, "bytes a byte of JSON, LZ4; 0.39 of real flights: `bench.footprint`"),
    ("stored", sizing.STORED_RATIO, "bytes a byte of JSON, snappy; 0.50 of real flights"),
    ("document", sizing.DOCUMENT_MORE, "bytes in memory beside the JSON; 246 and 247 of two sizes"),
    ("id index", sizing.ID_INDEX, "bytes a record"),
    ("index", sizing.INDEX, "bytes a record, of a text and a date; 58 to 112 were found"),
    ("cached", sizing.CACHED_RATIO, "bytes a byte of JSON"),
    ("cached beside", sizing.CACHED_MORE, "bytes a record"),
    ("process", sizing.WORKER_MIB, "MiB resident, after 200,000 records, 12 partitions"),
)
_CHOSEN: Final = (
    ("busy", sizing.BUSY, "how busy a core may be"),
    ("full", sizing.FULL, "how full a disk or a memory may be"),
    ("store cache", sizing.STORE_CACHE, "the part of its memory that MongoDB takes"),
    ("replicas", sizing.REPLICAS, "of the log"),
    ("partitions a worker", sizing.PARTITIONS_A_WORKER, "so that there is room to grow"),
)


def sizing_text(page: str) -> str:
    """The page, with its tables made anew."""
    head, _, _ = page.partition(_BEGIN)
    tail = page.partition(_END)[2]
    return head + _BEGIN + _made() + _END + tail


def _made() -> str:
    plans = [plan(Demand(records, rate, rate, _SIZE)) for records, rate in _SIZES]
    columns = [f"{records:,} records, {rate:,}/s" for records, rate in _SIZES]
    rows = [
        (f"{lines[0].part}: {lines[0].what}", *(figure(one) for one in lines))
        for lines in zip(*plans, strict=True)
    ]
    formulas = [(f"{one.part}: {one.what}", f"`{one.formula}`") for one in plans[0]]
    return "\n".join(
        (
            "",
            f"With records of {_SIZE} bytes, as many reads as writes, half of the writes updates,",
            "two indexes, a tenth of the records hot, the log kept for 24 hours:",
            "",
            _table(("", *columns), rows),
            "## The formulas",
            "",
            _table(("figure", "formula"), formulas),
            "## What was measured",
            "",
            _table(("", "figure", "what"), [(a, f"{b:,}", c) for a, b, c in _MEASURED]),
            "## What was chosen",
            "",
            _table(("", "figure", "what"), [(a, str(b), c) for a, b, c in _CHOSEN]),
        )
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
