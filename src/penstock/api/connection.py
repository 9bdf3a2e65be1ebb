"""One connection: llhttp in, exchanges out, made to hold out against slow and broken clients.

uvicorn accepts, drains and stops (`server`); its own protocol is not used. That one leaves open how
long the head of a request may take, how large it may be, and how long a client may refuse to read,
and it costs twice as much per request as this one, more than our handlers do.

One timer a connection, moved only where something is slow: the common request sets none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, cast

import httptools
from uvicorn.server import ServerState

from penstock.api.app import Application
from penstock.api.exchange import Exchange, head, scope_of
from penstock.api.request import request_timeout
from penstock.api.response import Headers
from penstock.api.stall import StallWatch
from penstock.errors import Malformed, PenstockError, Refused

MOST_TARGET_BYTES: Final = 16 * 1024
MOST_HEAD_BYTES: Final = 64 * 1024
KEEP_ALIVE_S: Final = 75.0


class _TooMuch(Exception):
    """Raised through llhttp, to stop it; the connection knows why."""


class Connection(asyncio.Protocol):
    """A connection, as uvicorn makes it.

    Args:
        application: answers.
        idle_s: how long the head of a request may take, and how long a client may read nothing of
            an answer.
        server_state: uvicorn's; the rest of what it gives is not needed.
    """

    def __init__(
        self, application: Application, idle_s: float, server_state: ServerState, **_: Any
    ) -> None:
        self._application = application
        self._idle_s = idle_s
        self._server = server_state
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._stall: StallWatch
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._expects = False
        self._in_head = False
        self._received = 0
        self._refusal: PenstockError = Malformed("malformed_request")
        self._deaf = False
        self._answering: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._arriving: Exchange | None = None
        self._served = False
        self._held = False
        self._writable: asyncio.Future[None] | None = None
        self._since = self._loop.time()
        self._timer = self._loop.call_later(idle_s, self._look)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._stall = StallWatch(self._transport, self._idle_s)
        self._server.connections.add(cast("Any", self))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # however it ended, it has
        self._server.connections.discard(cast("Any", self))
        self._timer.cancel()
        self.resume_writing()
        for exchange in (self._answering, *self._queue):
            if exchange is not None:
                exchange.abandon()
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        # At least the size of the head that is being read; its exact size is counted if need be.
        self._received = self._received + len(data) if self._in_head else len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # We speak nothing else, and say so by answering the request as it is.
            self._deaf = True
            self._end_after_last()
        except httptools.HttpParserError:
            self._break_off(self._refusal)
        else:
            if self._in_head:
                if self._received > MOST_HEAD_BYTES:
                    self._break_off(_headers_too_large())
                else:
                    self._look()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()
        self._stall.begin()

    def resume_writing(self) -> None:
        self._stall.end()
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    # What uvicorn calls.

    def shutdown(self) -> None:
        """Close as soon as the request under way, if there is one, is answered."""
        if self._answering is None:
            self._transport.close()
        else:
            self._answering.keep_alive = False

    # What llhttp calls.

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._expects = False
        self._in_head = True
        self._since = self._loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > MOST_TARGET_BYTES:
            self._refusal = Refused("uri_too_long")
            raise _TooMuch

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._received > MOST_HEAD_BYTES:
            size = len(self._url) + sum(len(name) + len(value) for name, value in self._headers)
            if size > MOST_HEAD_BYTES:
                self._refusal = _headers_too_large()
                raise _TooMuch
            # Of what came, this is no part of the next request's head; nor is a body.
            self._received -= size + len(self._headers) * len(b": \r\n")
        parser = self._parser
        exchange = Exchange(
            self,
            scope_of(parser.get_method(), self._url, self._headers),
            keep_alive=parser.should_keep_alive(),
            plain=parser.get_http_version() == "1.0",
            expects=self._expects,
        )
        self._arriving = exchange
        if self._answering is None:
            self._answer(exchange)
        else:
            self._queue.append(exchange)
            self.hold()

    def on_body(self, body: bytes) -> None:
        assert self._arriving is not None
        self._received -= len(body)
        self._arriving.feed(body)

    def on_message_complete(self) -> None:
        assert self._arriving is not None
        self._arriving.complete()
        self._arriving = None

    # What an exchange calls.

    @property
    def date(self) -> Headers:
        return tuple(self._server.default_headers)

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def drained(self) -> None:
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def hold(self) -> None:
        if not self._held and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        if self._held and not self._transport.is_closing():
            self._held = False
            self._transport.resume_reading()

    def answered(self, exchange: Exchange) -> None:
        self._since = self._loop.time()
        self._served = True
        self._answering = None
        if not exchange.keep_alive:
            if exchange.whole:
                self._transport.close()
            else:
                self._linger()
        elif self._queue:
            self._answer(self._queue.popleft())
        else:
            self.go_on()
            if not exchange.whole:
                # What is left of its body is read away, but not for ever.
                self._look()

    # Our own.

    def _answer(self, exchange: Exchange) -> None:
        self._answering = exchange
        self._server.tasks.add(self._loop.create_task(self._run(exchange)))

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._application(exchange.scope, exchange.receive, exchange.send)
        finally:
            self._server.tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            if not exchange.finished and not exchange.gone:
                self._transport.abort()

    def _look(self) -> None:
        """Act where the client was silent for too long; else look again when it could have been."""
        self._timer.cancel()
        if self._transport.is_closing():
            return
        now = self._loop.time()
        due = self._since + self._patience
        if self._answering is not None and not self._in_head:
            due = now + self._idle_s
        if now < due:
            self._timer = self._loop.call_at(due, self._look)
        elif self._in_head and not self._deaf:
            self._break_off(request_timeout())
        else:
            self._transport.abort()

    @property
    def _patience(self) -> float:
        """How long to wait for what is to come next, in seconds."""
        waits_for_nothing = not (self._in_head or self._deaf or self._arriving is not None)
        return KEEP_ALIVE_S if self._served and waits_for_nothing else self._idle_s

    def _break_off(self, error: PenstockError) -> None:
        """Answer with a problem, where it cannot be taken for the answer to another request."""
        self._deaf = True
        broken, self._arriving = self._arriving, None
        if self._answering is not None and self._answering is not broken:
            if broken is not None:
                self._queue.remove(broken)
            self._end_after_last()
            return
        self._answering = None
        if broken is not None:
            broken.abandon()
            if broken.started:
                self._transport.abort()
                return
        status, headers, body = self._application.refuse(error)
        more = ((b"content-length", b"%d" % len(body)), (b"connection", b"close"))
        self._transport.write(head(status, (*self.date, *headers, *more)) + body)
        self._linger()

    def _end_after_last(self) -> None:
        """Close when all requests that have arrived are answered."""
        last = self._queue[-1] if self._queue else self._answering
        if last is not None:
            last.keep_alive = False

    def _linger(self) -> None:
        """Close in our direction, and read away what comes until the client closes in its own.

        A plain close would reset the connection under a client that is still sending, and take the
        answer away with it.
        """
        self._deaf = True
        self._since = self._loop.time()
        self.go_on()
        self._transport.write_eof()
        self._look()


def _headers_too_large() -> Refused:
    return Refused("headers_too_large")
