"""`penstock serve`: everything in one process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from penstock.cli.exits import Exit
from penstock.errors import ConfigurationError, LogDiverged


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 for any free one.")] = None,
    data: Annotated[Path | None, typer.Option(help="Directory of log, store and keys.")] = None,
) -> None:
    """Start Penstock, embedded, in one process."""
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run
    from penstock.wiring import serve as run  # noqa: PLC0415  # likewise

    try:
        configuration = Configuration.read(host=host, port=port, data=data)
        code = run(configuration, _announce)
    except ConfigurationError as error:
        typer.echo(f"penstock: {error}", err=True)
        raise typer.Exit(Exit.USAGE) from None
    except LogDiverged as error:
        typer.echo(f"penstock: {error.internal or error}", err=True)
        raise typer.Exit(Exit.DEFECT) from None
    raise typer.Exit(code)


def _announce(url: str, new_admin_key: str | None, data: Path) -> None:
    """Say where it is, what the key is or where, and three lines to try."""
    kept = data / "admin-key"
    if new_admin_key is not None:
        key, where = new_admin_key, f"{new_admin_key} (made just now, and kept in {kept})"
    elif "PENSTOCK_ADMIN_KEY" in os.environ or not kept.exists():
        key, where = "$PENSTOCK_ADMIN_KEY", "as PENSTOCK_ADMIN_KEY has it"
    else:
        key, where = f"$(cat {quote(str(kept))})", f"in {kept}"
    records = f"{url}/v1/collections/readings"
    authorization = f'-H "Authorization: Bearer {key}"'
    typer.echo(
        f"Penstock listens on {url}, with its data in {data}\n"
        f"Admin key: {where}\n"
        f"Documentation: {url}/docs\n"
        "Try:\n"
        f"  curl -X PUT {authorization} --json '{{}}' {records}\n"
        f"  curl -X PUT {authorization} --json '{{\"flow\": 12.5}}' {records}/records/r1\n"
        f"  curl {authorization} {records}/records/r1"
    )
    sys.stdout.flush()
