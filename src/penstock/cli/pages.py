"""Walking through a collection, a page in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from penstock.cli.client import Client, segment

MOST: Final = 1000
"""Records that the server puts on a page at most."""


class _Page(msgspec.Struct):
    """A page of a listing whose records are left as they came."""

    records: list[msgspec.Raw]
    next_page_token: str | None = None


_decode: Final = msgspec.json.Decoder(_Page).decode


def pages(client: Client, collection: str, size: int) -> Iterator[list[msgspec.Raw]]:
    """The records of a collection in the order of their ids, page by page."""
    params = {"page_size": str(size)}
    while True:
        answer = client.ask("GET", f"/v1/collections/{segment(collection)}/records", params=params)
        page = _decode(answer.content)
        yield page.records
        if page.next_page_token is None:
            return
        params["page_token"] = page.next_page_token
