"""`penstock lag`: how far what can be read is behind what was written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from penstock.cli.exits import Exit, Failed, told
from penstock.cli.output import write_line
from penstock.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:  # the house loads where it is run
    from penstock.apply.lag import Lag


def lag(
    *,
    data: Annotated[Path | None, typer.Option(help="Directory of log and store.")] = None,
    most_entries: Annotated[
        int | None, typer.Option(min=0, help="Fail where more entries wait, of all partitions.")
    ] = None,
    most_seconds: Annotated[
        float | None, typer.Option(min=0, help="Fail where one waits for longer.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show, for each partition of the log, how many entries are not applied, and for how long.

    It asks the engines, not a server, and works beside whatever runs, or where nothing does.
    """
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run
    from penstock.wiring.lagging import lag as run  # noqa: PLC0415  # likewise

    with told():
        try:
            found = asyncio.run(run(Configuration.read(data=data)))
        except ConfigurationError as error:
            raise Failed(str(error), Exit.USAGE) from error
        except Unavailable as error:
            raise Failed(error.internal or error.detail, Exit.UNREACHABLE) from error
        _show(found, as_json=as_json)
        entries = sum(one.entries for one in found)
        seconds = max((one.seconds for one in found), default=0.0)
        if most_entries is not None and entries > most_entries:
            raise Failed(f"{entries} entries wait, more than {most_entries}", Exit.DEFECT)
        if most_seconds is not None and seconds > most_seconds:
            raise Failed(f"one waits for {seconds:.1f} s, longer than {most_seconds}", Exit.DEFECT)


def _show(found: Sequence[Lag], *, as_json: bool) -> None:
    if not as_json:
        typer.echo("generation\tpartition\tentries\tseconds")
    for (generation, number), entries, seconds in found:
        if as_json:
            shown = {"generation": generation, "partition": number}
            more = {"entries": entries, "seconds": seconds}
            write_line(msgspec.json.encode(shown | more))
        else:
            typer.echo(f"{generation}\t{number}\t{entries}\t{seconds:.1f}")
