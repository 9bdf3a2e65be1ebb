"""The commands, put together."""

from __future__ import annotations

import typer

from penstock.cli import collections, dead_letters, generation, keys, records
from penstock.cli.check import check
from penstock.cli.client import Ca, trusted
from penstock.cli.exits import MEANINGS
from penstock.cli.health import health
from penstock.cli.lag import lag
from penstock.cli.plan import plan
from penstock.cli.serve import api, ingest, query, serve, worker

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    epilog=MEANINGS,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(serve)
app.command()(api)
app.command()(ingest)
app.command()(query)
app.command()(worker)
app.command()(check)
app.command()(lag)
app.command()(health)
app.command()(plan)
app.add_typer(collections.app, name="collections")
app.add_typer(records.app, name="records")
app.add_typer(keys.app, name="keys")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(generation.app, name="generation")


@app.callback()
def penstock(ca: Ca = None) -> None:
    """A JSON record platform: in over HTTP, through a durable log, and back fast."""
    trusted.set(ca)
