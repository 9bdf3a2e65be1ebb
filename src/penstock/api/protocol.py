"""One connection: uvicorn's protocol on llhttp, made to hold out against slow and broken clients.

uvicorn leaves open how long a request's head may take, how large it may be, and how long a client
may refuse to read. Requests that llhttp refuses (bad framing, Content-Length with
Transfer-Encoding, bad chunks) are answered as problems, and the connection is closed.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from collections.abc import Callable
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from penstock.api.request import request_timeout
from penstock.api.response import Response
from penstock.errors import Malformed, PenstockError, Refused

MOST_TARGET_BYTES: Final = 16 * 1024
MOST_HEAD_BYTES: Final = 64 * 1024

Refuse = Callable[[PenstockError], Response]
"""How an error is answered for which there is no request yet."""


class _TooMuch(Exception):
    """Raised through llhttp, to stop it; the connection knows why."""


class Protocol(HttpToolsProtocol):
    """A connection.

    Args:
        refuse: see `Refuse`.
        idle_s: how long the head of a request may take, and how long a client may read nothing of
            an answer.
        uvicorn: what uvicorn gives its protocols.
    """

    def __init__(self, refuse: Refuse, idle_s: float, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._refuse = refuse
        self._idle_s = idle_s
        self._in_head = False
        self._head_ends_at: float | None = None
        self._received = 0
        self._refusal: PenstockError = Malformed("malformed_request")
        self._deaf = False
        self._stall: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._stop_stall()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        # At least the size of the head that is being read; its exact size is counted if need be.
        self._received = self._received + len(data) if self._in_head else len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # We speak nothing else, and say so by answering the request as it is.
            self._deaf = True
            self.cycle.keep_alive = False
        except httptools.HttpParserError:
            self._break_off(self._refusal)
        else:
            if self._in_head and self._received > MOST_HEAD_BYTES:
                self._break_off(_headers_too_large())
            elif self._between_requests:
                self._await_head()

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_ends_at = None
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MOST_TARGET_BYTES:
            self._refusal = Refused("uri_too_long")
            raise _TooMuch

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._received > MOST_HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > MOST_HEAD_BYTES:
                self._refusal = _headers_too_large()
                raise _TooMuch
        super().on_headers_complete()

    def timeout_keep_alive_handler(self) -> None:
        """The client was silent for too long, in a head, or where one should have begun."""
        if self.transport.is_closing():
            return
        if self._in_head:
            self._break_off(request_timeout())
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_stall(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stall()

    @property
    def _between_requests(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first, whatever it says
        return cycle is None or cycle.response_complete

    def _await_head(self) -> None:
        """Arm the timer for the next head, which counts from where it began, however it drips."""
        self._unset_keepalive_if_required()
        if self._head_ends_at is None:
            self._head_ends_at = self.loop.time() + self._idle_s
        self.timeout_keep_alive_task = self.loop.call_at(
            self._head_ends_at, self.timeout_keep_alive_handler
        )

    def _watch_stall(self, unsent: int) -> None:
        self._stall = self.loop.call_later(self._idle_s, self._check_stall, unsent)

    def _check_stall(self, unsent_before: int) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent < unsent_before:
            self._watch_stall(unsent)
        else:
            self.transport.abort()

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _break_off(self, error: PenstockError) -> None:
        """Answer with a problem, where it cannot be taken for the answer to another request."""
        self._deaf = True
        if not self._between_requests:
            cycle = self.cycle
            if not cycle.more_body and not self.pipeline:
                # The request before is whole, and is still to be answered.
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started or self.pipeline:
                self.transport.abort()
                return
        self._write_problem(error)
        # A close now would reset the connection under a client that is still sending, and take the
        # answer away with it: so what comes is read and thrown away until the client has closed.
        self.transport.write_eof()
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self._idle_s, self.transport.abort)

    def _write_problem(self, error: PenstockError) -> None:
        status, headers, body = self._refuse(error)
        lines = [
            *self.server_state.default_headers,
            *headers,
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%b: %b\r\n" % line for line in lines)
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + body)


def _headers_too_large() -> Refused:
    return Refused("headers_too_large")
