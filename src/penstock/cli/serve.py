"""`penstock serve`, and each role alone: the processes that run, until they are told to stop."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from penstock.cli.exits import Exit
from penstock.errors import ConfigurationError, LogDiverged, TooManyDefects, Unavailable

Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port; 0 for any free one.")]
MetricsPort = Annotated[
    int | None, typer.Option(help="Port for /livez, /readyz and /metrics; 0 for any free one.")
]
Data = Annotated[Path | None, typer.Option(help="Directory of log, store and keys.")]


def serve(host: Host = None, port: Port = None, data: Data = None) -> None:
    """Start Penstock in one process: on embedded engines, unless configured otherwise."""
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run
    from penstock.wiring import serve as run  # noqa: PLC0415  # likewise

    _run(lambda: run(Configuration.read(host=host, port=port, data=data), _announce))


def api(host: Host = None, port: Port = None, data: Data = None) -> None:
    """Start the API alone: writes are applied by workers elsewhere.

    Reads and writes are passed on to the services that PENSTOCK_QUERY_URLS and PENSTOCK_INGEST_URLS
    name; without these, they are served here.
    """
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run
    from penstock.wiring import Role  # noqa: PLC0415  # likewise
    from penstock.wiring import serve as run  # noqa: PLC0415  # likewise

    _run(lambda: run(Configuration.read(host=host, port=port, data=data), _announce, Role.API))


def ingest(host: Host = None, port: Port = None) -> None:
    """Start an ingest service: writes that an API process passes on go into the log here."""
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run
    from penstock.wiring import Role  # noqa: PLC0415  # likewise
    from penstock.wiring import serve as run  # noqa: PLC0415  # likewise

    _run(lambda: run(Configuration.read(host=host, port=port), _announce_service, Role.INGEST))


def query(host: Host = None, port: Port = None) -> None:
    """Start a query service: reads that an API process passes on are answered here."""
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run
    from penstock.wiring import Role  # noqa: PLC0415  # likewise
    from penstock.wiring import serve as run  # noqa: PLC0415  # likewise

    _run(lambda: run(Configuration.read(host=host, port=port), _announce_service, Role.QUERY))


def worker(port: MetricsPort = None) -> None:
    """Start a worker alone: one of a group that shares the log's partitions out."""
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run
    from penstock.wiring import apply as run  # noqa: PLC0415  # likewise

    _run(lambda: run(Configuration.read(metrics_port=port), _announce_worker))


def _run(run: Callable[[], int]) -> None:
    """Until it ends; what keeps it from running is told in a sentence."""
    try:
        code = run()
    except ConfigurationError as error:
        typer.echo(f"penstock: {error}", err=True)
        raise typer.Exit(Exit.USAGE) from None
    except (LogDiverged, TooManyDefects) as error:
        typer.echo(f"penstock: {error.internal or error}", err=True)
        raise typer.Exit(Exit.DEFECT) from None
    except Unavailable as error:
        typer.echo(f"penstock: {error.internal or error}", err=True)
        raise typer.Exit(Exit.UNREACHABLE) from None
    raise typer.Exit(code)


def _announce_worker(url: str | None) -> None:
    typer.echo(f"Penstock's worker runs{'' if url is None else f', and answers on {url}'}")
    sys.stdout.flush()


def _announce_service(url: str, _new_admin_key: str | None, _data: Path) -> None:
    """Say where it is; clients have no business there."""
    typer.echo(f"Penstock listens on {url}, for its own API processes")
    sys.stdout.flush()


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
