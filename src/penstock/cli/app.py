"""The commands, put together."""

from __future__ import annotations

import typer

from penstock.cli.serve import serve

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.command()(serve)


@app.callback()
def penstock() -> None:
    """A JSON record platform: in over HTTP, through a durable log, and back fast."""
