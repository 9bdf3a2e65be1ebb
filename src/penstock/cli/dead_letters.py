"""`penstock dead-letters`: what could not be applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
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
from penstock.cli.output import show, write_line

app = typer.Typer(no_args_is_help=True, help="What could not be applied: show, replay, drop.")

Position = Annotated[str, typer.Argument(help="Of the dead letter, as `list` shows it.")]
OfCollection = Annotated[
    str | None, typer.Option("--collection", help="Only those of this collection.")
]


@app.command("list")
def list_all(
    collection: OfCollection = None,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Show all, one a line, in the order of the log."""
    with connected(url, key, data) as client:
        for letter in _letters(client, collection):
            write_line(msgspec.json.encode(letter))


@app.command("show")
def show_one(
    position: Position, url: Url = DEFAULT_URL, key: KeyOption = None, data: Data = DEFAULT_DATA
) -> None:
    """Show one, with what was to be written."""
    with connected(url, key, data) as client:
        show(client.ask("GET", f"/v1/dead-letters/{segment(position)}").content)


@app.command()
def replay(
    position: Annotated[
        str | None, typer.Argument(help="Of a dead letter: its record's are replayed.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Replay those of every record.")] = False,
    collection: OfCollection = None,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Apply what waits on a record, in order, as far as that can be done."""
    if every == (position is not None):
        raise typer.BadParameter("name a position, or give --all")
    with connected(url, key, data) as client:
        if position is not None:
            failed = not _replay(client, position)
        else:
            letters = [one for one in _letters(client, collection) if "id" in one]
            # The others of a record go with its first.
            firsts = {(one["collection"], one["id"]): one for one in reversed(letters)}
            failed = sum(not _replay(client, one["position"]) for one in firsts.values()) > 0
        if failed:
            raise Failed("some cannot be applied", Exit.REFUSED)


@app.command()
def drop(
    position: Position,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Remove one: what it asked for never happens."""
    with connected(url, key, data) as client:
        path = f"/v1/dead-letters/{segment(position)}"
        if not yes:
            show(client.ask("GET", path).content)
            typer.confirm("Drop it? What was to be written is lost then.", abort=True)
        client.ask("DELETE", path)


def _letters(client: Client, collection: str | None) -> Iterator[dict[str, Any]]:
    params = {} if collection is None else {"collection": collection}
    while True:
        page = client.ask("GET", "/v1/dead-letters", params=params).json()
        yield from page["dead_letters"]
        if "next_page_token" not in page:
            return
        params["page_token"] = page["next_page_token"]


def _replay(client: Client, position: str) -> bool:
    """Replay a record's; tell what came of it, and return whether none is left."""
    body, count = msgspec.json.encode({"position": position}), 0
    while True:
        try:
            done = client.ask("POST", "/v1/dead-letters:replay", body).json()
        except Refusal as refusal:
            if count and refusal.problem.code == "dead_letter_not_found":
                # The part before took the last one with it.
                done = {"replayed": 0, "left": False}
            else:
                raise
        count += done["replayed"]
        if not done["left"] or "reason" in done:
            break
    rest = f"; the next one cannot: {done['reason']}" if done["left"] else ""
    typer.echo(f"{position}: {count} applied{rest}", err=True)
    return not done["left"]
