"""`penstock check`: what the configured engines are like, and whether they will do."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock.cli.exits import Exit, Failed, told
from penstock.cli.output import write_line
from penstock.errors import ConfigurationError

if TYPE_CHECKING:  # the house loads where it is run
    from penstock.wiring.check import Checked

_STYLES: Final = {"ok": "green", "warning": "yellow", "failure": "bold red"}


def check(
    *,
    data: Annotated[Path | None, typer.Option(help="Directory of log, store and keys.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Connect to each configured engine, say what is there, and try all that is needed of it.

    What is tried is tried on a topic, a collection and keys of its own, which go again. Run it
    with the settings, the network and the users that the processes themselves will have.
    """
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run
    from penstock.wiring.check import check as run  # noqa: PLC0415  # likewise

    with told():
        try:
            checked = asyncio.run(run(Configuration.read(data=data)))
        except ConfigurationError as error:
            raise Failed(str(error), Exit.USAGE) from error
        _show(checked, as_json=as_json)
    if any(one.level == "failure" for part in checked for one in part.findings):
        raise typer.Exit(Exit.DEFECT)


def _show(checked: Sequence[Checked], *, as_json: bool) -> None:
    if as_json:
        for part in checked:
            for one in part.findings:
                write_line(msgspec.json.encode({"engine": part.engine, **one._asdict()}))
        return
    if sys.stdout.isatty():
        Console().print(_table(checked))
    else:
        for line in _lines(checked):
            typer.echo(line)
    levels = Counter(one.level.value for part in checked for one in part.findings)
    typer.echo(
        f"{levels['ok']} ok, {levels['warning']} to think about, {levels['failure']} that fail"
    )


def _table(checked: Sequence[Checked]) -> Table:
    table = Table("engine", "what", "found")
    for part in checked:
        for one in part.findings:
            found = Text(one.found)
            if one.problem:
                found.append(f"\n{one.problem}", _STYLES[one.level])
            subject = Text(one.subject, _STYLES[one.level])
            table.add_row(part.engine, subject, found)
        table.add_section()
    return table


def _lines(checked: Sequence[Checked]) -> list[str]:
    """A line for each, with the level first, so that a search finds it."""
    return [
        f"{one.level.value:8} {part.engine}: {one.subject}: {one.found}"
        + (f" -- {one.problem}" if one.problem else "")
        for part in checked
        for one in part.findings
    ]
