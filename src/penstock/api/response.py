"""What a handler gives back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

Header = tuple[bytes, bytes]
Headers = tuple[Header, ...]

JSON: Final[Header] = (b"content-type", b"application/json")
NDJSON: Final[Header] = (b"content-type", b"application/x-ndjson")


class Response(NamedTuple):
    """A whole answer. The length and the request id are added when it is sent."""

    status: int
    headers: Headers = ()
    body: bytes = b""


class Streamed(NamedTuple):
    """An answer in pieces, the first of which is there; `rest` is closed whatever happens."""

    status: int
    headers: Headers
    first: bytes
    rest: AsyncGenerator[bytes, None]


Answer = Response | Streamed
