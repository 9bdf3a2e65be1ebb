"""`penstock collections`: what records are kept in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from penstock.cli.client import DEFAULT_DATA, DEFAULT_URL, Data, KeyOption, Url, connected, segment
from penstock.cli.exits import Exit, Failed
from penstock.cli.given import given
from penstock.cli.output import show

app = typer.Typer(no_args_is_help=True, help="Create, show and drop collections.")

Name = Annotated[str, typer.Argument(help="Name of the collection.")]


@app.command("list")
def list_all(url: Url = DEFAULT_URL, key: KeyOption = None, data: Data = DEFAULT_DATA) -> None:
    """Show all collections, one a line."""
    with connected(url, key, data) as client:
        for one in client.ask("GET", "/v1/collections").json()["collections"]:
            typer.echo(one["name"])


@app.command()
def get(
    name: Name, url: Url = DEFAULT_URL, key: KeyOption = None, data: Data = DEFAULT_DATA
) -> None:
    """Show a collection's settings."""
    with connected(url, key, data) as client:
        show(client.ask("GET", f"/v1/collections/{segment(name)}").content)


@app.command()
def put(
    name: Name,
    schema: Annotated[
        Path | None, typer.Option(help="File with a JSON Schema that records must satisfy.")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option(help="How long records live, such as 30d, 12h, 45s.")
    ] = None,
    ttl_field: Annotated[
        str, typer.Option(help="From when that counts: updated_at, created_at or data.<path>.")
    ] = "updated_at",
    settings_json: Annotated[
        str | None,
        typer.Option(
            "--settings",
            metavar="JSON",
            help="All settings as the HTTP API takes them, indexes included: JSON, @FILE, or -.",
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Create a collection, or replace its settings by these; its records stay."""
    with connected(url, key, data) as client:
        if settings_json is not None:
            if schema is not None or ttl is not None:
                raise Failed("--settings is all of them: give no other option with it", Exit.USAGE)
            content = given(settings_json)
            show(client.ask("PUT", f"/v1/collections/{segment(name)}", content).content)
            return
        settings: dict[str, Any] = {}
        if schema is not None:
            settings["schema"] = _schema(schema)
        if ttl is not None:
            settings["ttl"] = {"field": ttl_field, "after": ttl}
        content = msgspec.json.encode(settings)
        show(client.ask("PUT", f"/v1/collections/{segment(name)}", content).content)


@app.command()
def delete(
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Drop a collection with all its records."""
    with connected(url, key, data) as client:
        path = f"/v1/collections/{segment(name)}"
        if not yes:
            client.ask("GET", path)
            typer.confirm(f"Drop {name} with all its records?", abort=True)
        client.ask("DELETE", path)


def _schema(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}", Exit.USAGE) from None
    except msgspec.DecodeError as error:
        raise Failed(f"{path} is not JSON: {error}", Exit.USAGE) from None
