"""`penstock plan`: how large an installation has to be."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from penstock.cli.output import write_line
from penstock.cli.sizing import Demand, Line
from penstock.cli.sizing import plan as planned

_UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_NUMBER: Final = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?)([kMG]?)")
_MANY: Final = 100


def _count(text: str) -> float:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no number such as 2500, 10_000_000 or 10M")
    return float(re.sub("[_,]", "", found[1])) * _UNITS[found[2]]


def plan(
    *,
    records: Annotated[
        float, typer.Option(parser=_count, metavar="NUMBER", help="Records to be kept: 10M, 2G.")
    ],
    rate: Annotated[
        float,
        typer.Option(parser=_count, metavar="NUMBER", help="Writes a second, at the busiest time."),
    ],
    size: Annotated[int, typer.Option(min=2, help="Bytes of a record's JSON, on average.")],
    reads: Annotated[
        float | None,
        typer.Option(parser=_count, metavar="NUMBER", help="Reads a second; else as many."),
    ] = None,
    updates: Annotated[
        float, typer.Option(min=0, max=1, help="Part of the writes that meets an old record.")
    ] = 0.5,
    indexes: Annotated[int, typer.Option(min=0, help="Indexes of a collection.")] = 2,
    hot: Annotated[
        float, typer.Option(min=0, max=1, help="Part of the records that is read again and again.")
    ] = 0.1,
    retention: Annotated[float, typer.Option(min=1, help="Hours that the log is kept.")] = 24,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Say how many cores, partitions, bytes of disk and memory that takes, and by which formula.

    The figures are measured; docs/operations/sizing.md says how. It is a place to start from: watch
    the dashboards, and let the autoscalers decide.
    """
    reading = rate if reads is None else reads
    demand = Demand(round(records), rate, reading, size, updates, indexes, hot, retention)
    lines = planned(demand)
    if as_json:
        for line in lines:
            write_line(msgspec.json.encode(line._asdict()))
    elif sys.stdout.isatty():
        Console().print(_table(lines))
    else:
        for line in lines:
            typer.echo(f"{line.part}: {line.what}: {figure(line)}  = {line.formula}")


def figure(line: Line) -> str:
    """A value as a person reads it: with its unit, and no more digits than it is worth."""
    value = f"{line.value:,.0f}" if line.value >= _MANY or not line.unit else f"{line.value:,.2g}"
    return f"{value} {line.unit}".rstrip()


def _table(lines: list[Line]) -> Table:
    table = Table("part", "what", "how much", "how it comes about")
    for line in lines:
        table.add_row(line.part, line.what, figure(line), line.formula)
    return table
