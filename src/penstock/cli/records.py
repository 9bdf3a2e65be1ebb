"""`penstock records`: one record, or all of a collection."""

from __future__ import annotations

from itertools import chain, islice
from typing import Annotated, Final

import typer

from penstock.cli.client import (
    DEFAULT_DATA,
    DEFAULT_URL,
    Data,
    KeyOption,
    Url,
    connected,
    segment,
)
from penstock.cli.export import export
from penstock.cli.given import given
from penstock.cli.importing.command import import_file
from penstock.cli.output import show, write_line
from penstock.cli.pages import MOST, pages

app = typer.Typer(no_args_is_help=True, help="Read, write, import and export records.")
app.command("import")(import_file)
app.command()(export)

_WAIT: Final = {"Prefer": "wait"}

Collection = Annotated[str, typer.Argument(help="Name of the collection.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the record.")]
Json = Annotated[
    str, typer.Argument(metavar="JSON", help="The JSON, @FILE that holds it, or - for stdin.")
]
IfMatch = Annotated[
    str | None, typer.Option(help="Only where the record is at this version; * for any.")
]


@app.command()
def get(
    collection: Collection,
    id_: Id,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Show a record."""
    with connected(url, key, data) as client:
        show(client.ask("GET", _path(collection, id_)).content)


@app.command()
def put(
    collection: Collection,
    id_: Id,
    content: Json,
    *,
    if_match: IfMatch = None,
    if_absent: Annotated[
        bool, typer.Option("--if-absent", help="Only where there is no such record yet.")
    ] = False,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Create or replace a record."""
    conditions = {"If-None-Match": "*"} if if_absent else _if_match(if_match)
    with connected(url, key, data) as client:
        path = _path(collection, id_)
        show(client.ask("PUT", path, given(content), headers=_WAIT | conditions).content)


@app.command()
def patch(
    collection: Collection,
    id_: Id,
    content: Json,
    *,
    if_match: IfMatch = None,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Change a record by a merge patch (RFC 7396)."""
    headers = {"Content-Type": "application/merge-patch+json"} | _WAIT | _if_match(if_match)
    with connected(url, key, data) as client:
        path = _path(collection, id_)
        show(client.ask("PATCH", path, given(content), headers=headers).content)


@app.command()
def delete(
    collection: Collection,
    id_: Id,
    if_match: IfMatch = None,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Delete a record; it is no error if there is none."""
    with connected(url, key, data) as client:
        path = _path(collection, id_)
        show(client.ask("DELETE", path, headers=_WAIT | _if_match(if_match)).content)


@app.command("list")
def list_some(
    collection: Collection,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Show the first records by id, one a line; `export` writes all."""
    with connected(url, key, data) as client:
        first = chain.from_iterable(pages(client, collection, min(limit, MOST)))
        for record in islice(first, limit):
            write_line(record)


def _path(collection: str, record_id: str) -> str:
    return f"/v1/collections/{segment(collection)}/records/{segment(record_id)}"


def _if_match(version: str | None) -> dict[str, str]:
    if version is None:
        return {}
    return {"If-Match": version if version == "*" else f'"{version}"'}
