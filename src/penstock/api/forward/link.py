"""A kept connection to an upstream: one request at a time, llhttp takes the answer apart."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, Protocol, cast

import httptools

from penstock.api.response import Header, Headers

NOT_PASSED_ON: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"strict-transport-security",
        b"transfer-encoding",
        b"x-content-type-options",
        b"x-request-id",
    )
)
"""Headers of an answer that belong to the connection it came on, or that we say ourselves."""


class Reply(NamedTuple):
    """A whole answer; `headers` are those that are passed on."""

    status: int
    headers: Headers
    body: bytes


class Broken(Exception):
    """The connection ended before the answer did."""


class Call(Protocol):
    """What is told how a request on a link ended."""

    def answered(self, link: Link, reply: Reply) -> None: ...

    def failed(self, link: Link) -> None: ...


class Home(Protocol):
    """Where a link belongs: told when it is free, and when it is gone. See `upstream`."""

    def free(self, link: Link, *, stays: bool) -> None: ...

    def lost(self, link: Link, *, busy: bool) -> None: ...


class Link(asyncio.Protocol):
    """A connection; `home` is told of each end of a request before its call is."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._call: Call | None = None
        self._headers: list[Header] = []
        self._body: bytes | list[bytes] = b""

    def begin(self, call: Call, message: bytes) -> None:
        """Send a request; `call` is told, sooner or later, what became of it."""
        self._call = call
        self._transport.write(message)

    def close(self) -> None:
        """Give up what is under way, if anything is, and end."""
        self._call = None
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # however it ended, it has
        call, self._call = self._call, None
        self.home.lost(self, busy=call is not None)
        if call is not None:
            call.failed(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    # What llhttp calls.

    def on_message_begin(self) -> None:
        self._headers = []
        self._body = b""
        if self._call is None:
            # An answer to nothing: whoever is asked next must not get it.
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name not in NOT_PASSED_ON:
            self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        if not self._body:
            self._body = body
        elif isinstance(self._body, bytes):
            self._body = [self._body, body]
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        body = self._body if isinstance(self._body, bytes) else b"".join(self._body)
        reply = Reply(self._parser.get_status_code(), tuple(self._headers), body)
        self._headers, self._body = [], b""
        self.home.free(self, stays=self._parser.should_keep_alive())
        call.answered(self, reply)
