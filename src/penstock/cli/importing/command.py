"""The command."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.client import (
    DEFAULT_DATA,
    DEFAULT_URL,
    Client,
    Data,
    KeyOption,
    Refusal,
    Url,
    connected,
    segment,
)
from penstock.cli.exits import Exit, Failed
from penstock.cli.importing.choices import Choices, Format
from penstock.cli.importing.ledger import Done, Ledger
from penstock.cli.importing.refused import RefusedLines
from penstock.cli.importing.run import Import
from penstock.cli.importing.send import Sender
from penstock.cli.importing.source import Source, is_csv
from penstock.records.collection import milliseconds


def import_file(
    collection: Annotated[str, typer.Argument(help="Name of the collection.")],
    file: Annotated[str, typer.Argument(help="NDJSON or CSV, also gzip or zstd; - for stdin.")],
    *,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Without it, the file's name decides.")
    ] = None,
    id_field: Annotated[
        str | None, typer.Option(help="Field or column with the id; without it, ids are made.")
    ] = None,
    exported: Annotated[
        bool, typer.Option("--exported", help="Lines are records as `export` writes them.")
    ] = False,
    text: Annotated[
        bool, typer.Option("--text", help="CSV: leave each cell the text that it is.")
    ] = False,
    missing: Annotated[
        list[str] | None, typer.Option(help="CSV: a cell to leave out, like an empty one.")
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Create the collection if there is none.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, max=100_000, help="Lines a request.")] = 5_000,
    refused: Annotated[
        Path | None, typer.Option(help="Where refused lines go; else FILE.refused.ndjson.")
    ] = None,
    retry_for: Annotated[
        str, typer.Option(help="For how long to try again where the server does not answer.")
    ] = "5m",
    wait: Annotated[bool, typer.Option(help="Wait until all records can be read.")] = True,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, whatever an earlier run has done.")
    ] = False,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Import a file of records.

    Interrupted, it goes on where it was when the same command is given again; what is done is kept
    in FILE.penstock-import meanwhile. In a CSV, a cell that is written as JSON writes a number,
    true or false becomes one, an empty cell is left out, and any other is text.
    """
    kind = format_ or (Format.CSV if is_csv(file) else Format.NDJSON)
    with connected(url, key, data) as client, Source(file) as source:
        sender = Sender(client, collection, _seconds(retry_for))
        since = _created_at(client, collection, create=create)
        choices = Choices(collection, since, kind, id_field, exported, text, missing or [], batch)
        choices.check()
        ledger = _ledger(source, choices, restart=restart)
        where = refused or Path(f"{source.path or 'stdin'}.refused.ndjson")
        if source.path is not None and where.exists() and where.samefile(source.path):
            raise Failed("--refused names the file that is imported", Exit.USAGE)
        lines = RefusedLines(where, ledger.done.refused_bytes)
        Import(source, choices, ledger, sender, lines).run(wait=wait)


def _ledger(source: Source, choices: Choices, *, restart: bool) -> Ledger:
    run = secrets.token_hex(8)
    if source.path is None or not source.path.is_file():
        return Ledger(None, Done(run, "", choices))
    path = source.path.with_name(f"{source.path.name}.penstock-import")
    ledger = Ledger(path, Done(run, source.fingerprint(), choices))
    if not restart and ledger.resume():
        typer.echo(f"Going on after {ledger.done.lines:,} lines that are done", err=True)
    # The run's name must be known before anything is sent under it.
    try:
        ledger.save()
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror}", Exit.USAGE) from None
    return ledger


def _created_at(client: Client, collection: str, *, create: bool) -> str:
    """When the collection was created; now, if there is none and it may be."""
    path = f"/v1/collections/{segment(collection)}"
    try:
        answer = client.ask("GET", path)
    except Refusal as refusal:
        if not create or refusal.problem.code != "collection_not_found":
            raise
        answer = client.ask("PUT", path, b"{}")
    return str(answer.json()["created_at"])


def _seconds(duration: str) -> float:
    try:
        return milliseconds(duration) / 1000
    except ValueError as error:
        raise Failed(f"--retry-for {duration}: {error}", Exit.USAGE) from None
