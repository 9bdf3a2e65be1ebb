"""`penstock generation`: the generations of a log in Kafka, each with its number of partitions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from penstock.cli.exits import Exit, Failed, told
from penstock.errors import ConfigurationError, Unavailable

app = typer.Typer(no_args_is_help=True, help="Show the log's generations in Kafka, or begin one.")


@app.command("list")
def list_all() -> None:
    """Show them, one a line: topic, partitions, state."""
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run
    from penstock.wiring.growing import generations  # noqa: PLC0415  # likewise

    with _failing():
        for one in generations(Configuration.read()):
            typer.echo(f"{one.topic}\t{one.partitions}\t{one.state}")


@app.command()
def create() -> None:
    """Create the log's first topic, with PENSTOCK_LOG_PARTITIONS, where there is none yet.

    The first process would do so too. This is for installations whose processes may create no
    topics, or whose topics come before them.
    """
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run
    from penstock.wiring.growing import create as run  # noqa: PLC0415  # likewise

    with _failing():
        for one in run(Configuration.read()):
            typer.echo(f"{one.topic}\t{one.partitions}\t{one.state}")


@app.command()
def grow(
    partitions: Annotated[
        int, typer.Option(min=1, max=0xFFFF, help="How many the new generation has.")
    ],
) -> None:
    """Give the log more partitions, while it is used.

    Writes wait for a moment; nothing is lost, doubled or reordered. Where this is interrupted, the
    same command goes on from there.
    """
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run
    from penstock.wiring.growing import grow as run  # noqa: PLC0415  # likewise

    with _failing():
        run(Configuration.read(), partitions, typer.echo)


@contextmanager
def _failing() -> Iterator[None]:
    with told():
        try:
            yield
        except ConfigurationError as error:
            raise Failed(str(error), Exit.USAGE) from error
        except Unavailable as error:
            raise Failed(error.internal or error.detail, Exit.UNREACHABLE) from error
