"""`penstock keys`: who may do what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer

from penstock.cli.client import (
    DEFAULT_DATA,
    DEFAULT_URL,
    Client,
    Data,
    KeyOption,
    Url,
    connected,
    segment,
)
from penstock.cli.exits import Exit, Failed
from penstock.cli.output import show, write_line
from penstock.records.collection import milliseconds
from penstock.records.scope import Scope, scope_of

app = typer.Typer(no_args_is_help=True, help="Create, show, revoke and rotate keys.")

KeyId = Annotated[str, typer.Argument(help="Id of the key, as `list` shows it.")]
Tenant = Annotated[
    str | None, typer.Option("--tenant", help="Whose keys: only the admin key may say.")
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", help="When it expires: in 90d, 12h, 30m; or 2030-01-31T12:00:00Z."),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    *,
    scope: Annotated[
        list[str],
        typer.Option(help="What it may do to which collections: read,write:orders-*. Repeatable."),
    ],
    tenant: Tenant = None,
    expires: Expires = None,
    requests_per_second: Annotated[
        float | None, typer.Option(help="How many requests it may make.")
    ] = None,
    bytes_per_second: Annotated[
        float | None, typer.Option(help="How many bytes it may send and be sent.")
    ] = None,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Make a key, and show it: this once."""
    with connected(url, key, data) as client:
        wanted: dict[str, Any] = {
            "tenant": tenant,
            "name": name,
            "scopes": [_scope(one) for one in scope],
            "expires_at": None if expires is None else _moment(expires),
        }
        rate = {
            "requests_per_second": requests_per_second,
            "bytes_per_second": bytes_per_second,
        }
        if rate := _given(rate):
            wanted["rate"] = rate
        show(client.ask("POST", "/v1/keys", msgspec.json.encode(_given(wanted))).content)


@app.command("list")
def list_all(
    tenant: Tenant = None,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Show all keys, one a line, in the order of their creation."""
    with connected(url, key, data) as client:
        params = _of(tenant)
        while True:
            page = client.ask("GET", "/v1/keys", params=params).json()
            for one in page["keys"]:
                write_line(msgspec.json.encode(one))
            if "next_page_token" not in page:
                return
            params["page_token"] = page["next_page_token"]


@app.command()
def get(
    key_id: KeyId,
    tenant: Tenant = None,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Show what is known of a key, which is not the key itself."""
    with connected(url, key, data) as client:
        show(_ask(client, "GET", key_id, tenant))


@app.command()
def revoke(
    key_id: KeyId,
    *,
    tenant: Tenant = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Revoke a key: it is refused from then on."""
    with connected(url, key, data) as client:
        if not yes:
            show(_ask(client, "GET", key_id, tenant))
            typer.confirm("Revoke it?", abort=True)
        _ask(client, "DELETE", key_id, tenant)


@app.command()
def rotate(
    key_id: KeyId,
    *,
    overlap: Annotated[
        str, typer.Option(help="How long the old one stays valid: 24h, 30m; 0s for not at all.")
    ] = "1h",
    tenant: Tenant = None,
    expires: Expires = None,
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Make a key in the place of another, and show it: this once."""
    with connected(url, key, data) as client:
        wanted = {"overlap": overlap, "expires_at": None if expires is None else _moment(expires)}
        content = msgspec.json.encode(_given(wanted))
        show(_ask(client, "POST", key_id, tenant, ":rotate", content))


def _ask(
    client: Client,
    method: str,
    key_id: str,
    tenant: str | None,
    verb: str = "",
    content: bytes | None = None,
) -> bytes:
    path = f"/v1/keys/{segment(key_id)}{verb}"
    return client.ask(method, path, content, params=_of(tenant)).content


def _of(tenant: str | None) -> dict[str, str]:
    return {} if tenant is None else {"tenant": tenant}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _scope(word: str) -> Scope:
    try:
        return scope_of(word)
    except ValueError:
        raise Failed(
            f"{word!r} is no scope: read, write or admin, a colon and collections, as in"
            " read,write:orders-*",
            Exit.USAGE,
        ) from None


def _moment(text: str) -> str:
    """A duration from now, or the time itself, which the server looks at."""
    try:
        return (datetime.now(UTC) + timedelta(milliseconds=milliseconds(text))).isoformat()
    except ValueError:
        return text
