"""`penstock serve`: everything in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.errors import ConfigurationError


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
        raise typer.Exit(2) from None
    raise typer.Exit(code)


def _announce(url: str, new_admin_key: str | None, data: Path) -> None:
    typer.echo(f"Penstock listens on {url} (data in {data})")
    if new_admin_key is not None:
        typer.echo(f"Admin key, kept in {data / 'admin-key'}: {new_admin_key}")
