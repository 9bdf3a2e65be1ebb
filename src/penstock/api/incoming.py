"""The requests that arrive on a connection, as llhttp reads them: bounded, framed in one way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import httptools

from penstock.api.exchange import Exchange, Wire, scope_of
from penstock.api.framing import (
    FRAMING_PER_BYTE,
    MOST_FRAMING_BYTES,
    check_headers,
    check_host,
    check_trailers,
    malformed,
    path_of,
    unknown_method,
)
from penstock.api.head import lines
from penstock.api.response import Header
from penstock.errors import MethodNotAllowed, PenstockError, Refused

MOST_TARGET_BYTES: Final = 16 * 1024
MOST_HEAD_BYTES: Final = 64 * 1024
MOST_HEADERS: Final = 256
_FRAMED_BY: Final = (b"content-length", b"transfer-encoding")

Take = Callable[[Exchange], None]
"""Told of a request whose head is whole. May raise a `PenstockError`: then nothing follows it."""

Methods = Callable[[bytes], tuple[str, ...]]
"""What the address at a path takes."""


class Incoming:
    """The reading half of a connection.

    Args:
        wire: what its answers are written to.
        client: the address at the other end.
        take, methods: see their types.

    Attributes:
        in_head: whether the head of a request has begun, and not ended.
        arriving: the request whose body has not ended.
    """

    def __init__(self, wire: Wire, client: str, take: Take, methods: Methods) -> None:
        self._wire = wire
        self._client = client
        self._take = take
        self._methods = methods
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: list[Header] = []
        self._host: bytes | None = None
        self._upgrades = False
        self._received = 0
        self._slack = 0
        self.in_head = False
        self.arriving: Exchange | None = None

    def feed(self, data: bytes) -> None:
        """Take what has arrived. Raises `Refused` for what cannot be gone on with."""
        # At least the size of the head that is being read; its exact size is counted if need be.
        self._received = self._received + len(data) if self.in_head else len(data)
        self._slack -= len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_on(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            raise self._reason(error, data) from None
        else:
            if len(self._headers) > MOST_HEADERS:
                raise _headers_too_large()
            if self.in_head:
                if self._received > MOST_HEAD_BYTES:
                    raise _headers_too_large()
            elif self._slack < 0 and self.arriving is not None:
                raise malformed("The chunks are mostly something else than the body.")

    def close(self) -> None:
        """Nothing arrives any more: llhttp and this one hold each other, and what was read."""
        del self._parser

    # What llhttp calls.

    def on_message_begin(self) -> None:
        self._url = b""
        self.in_head = True
        self._wire.begun()

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > MOST_TARGET_BYTES:
            raise Refused("uri_too_long")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.in_head = False
        headers, self._headers = self._headers, []
        if self.arriving is not None:
            return  # the head that `_read_on` made up
        if self._received > MOST_HEAD_BYTES or len(headers) > MOST_HEADERS:
            self._check_size(headers)
        by_name = dict(headers)
        check_headers(headers, by_name)
        parser = self._parser
        method = parser.get_method()
        plain = parser.get_http_version() != "1.1"
        host = by_name.get(b"host")
        if plain:
            self._check_version(by_name)
        elif host is None or host != self._host:
            check_host(host)
            self._host = host
        target = self._url
        if not target.startswith(b"/") or not target.isascii() or b"#" in target:
            target = path_of(method, target, host)
        self._upgrades = b"upgrade" in by_name
        exchange = Exchange(
            self._wire,
            scope_of(method, target, headers, self._client),
            keep_alive=parser.should_keep_alive(),
            plain=plain,
            expects=by_name.get(b"expect", b"").lower() == b"100-continue",
        )
        self._take(exchange)
        self._slack = MOST_FRAMING_BYTES
        self.arriving = exchange

    def on_body(self, body: bytes) -> None:
        assert self.arriving is not None
        self._received -= len(body)
        self._slack += FRAMING_PER_BYTE * len(body)
        self.arriving.feed(body)

    def on_message_complete(self) -> None:
        assert self.arriving is not None
        if self._upgrades and self._parser.should_upgrade():
            return  # its body, if there is one, is still to come: see `_read_on`
        if self._headers:
            check_trailers(self._headers)
            self._headers = []
        self.arriving.complete()
        self.arriving = None

    # Our own.

    def _check_size(self, headers: list[Header]) -> None:
        size = len(self._url) + sum(len(name) + len(value) for name, value in headers)
        if size > MOST_HEAD_BYTES or len(headers) > MOST_HEADERS:
            raise _headers_too_large()
        # Of what came, this is no part of the next request's head; nor is a body.
        self._received -= size + len(headers) * len(b": \r\n")

    def _check_version(self, by_name: Mapping[bytes, bytes]) -> None:
        """HTTP/1.0 is served, without what it does not know."""
        if self._parser.get_http_version() != "1.0" or b"transfer-encoding" in by_name:
            raise malformed("This is HTTP/1.1, and HTTP/1.0 without chunks.")
        if b"host" in by_name:
            check_host(by_name[b"host"])

    def _read_on(self, data: bytes) -> None:
        """Read on behind a head that asks for an upgrade, which we do not take.

        llhttp ends there, whatever body the request has; another one takes it, behind a head that
        says no more than how it is framed.
        """
        assert self.arriving is not None
        self._upgrades = False
        headers = [one for one in self.arriving.scope["headers"] if one[0] in _FRAMED_BY]
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % lines(headers))
        if data:
            self.feed(data)

    def _reason(self, error: httptools.HttpParserError, data: bytes) -> PenstockError:
        """Why llhttp stopped: what one of its callbacks here raised, or that it is no request."""
        if isinstance(error.__context__, PenstockError):
            return error.__context__
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            target = unknown_method(data)
            if target is not None:
                return MethodNotAllowed(self._methods(target.partition(b"?")[0]))
        return malformed("")


def _headers_too_large() -> Refused:
    return Refused("headers_too_large")
