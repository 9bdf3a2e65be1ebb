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

from uvicorn.server import ServerState

from penstock.api.app import Application
from penstock.api.exchange import Exchange
from penstock.api.framing import malformed
from penstock.api.head import Common, closing
from penstock.api.incoming import Incoming
from penstock.api.leaving import Leaving
from penstock.api.request import request_timeout
from penstock.api.stall import StallWatch
from penstock.errors import PenstockError
from penstock.telemetry.logs import own_context

MOST_QUEUED: Final = 128
"""Requests that wait for the answers to those before them; behind these the connection ends."""
KEEP_ALIVE_S: Final = 75.0


class Connection(asyncio.Protocol):
    """A connection, as uvicorn makes it.

    Attributes:
        since: when it was made, when the last request began or when the last answer was given,
            whichever was last, in the event loop's seconds.

    Args:
        application: answers, and has the gate.
        leaving: see there.
        idle_s: how long the head of a request may take, and how long a client may read nothing of
            an answer.
        server_state: uvicorn's; the rest of what it gives is not needed.
    """

    def __init__(
        self,
        application: Application,
        leaving: Leaving,
        idle_s: float,
        server_state: ServerState,
        **_: Any,
    ) -> None:
        self._application = application
        self._gate = application.gate
        self._leaving = leaving
        self._idle_s = idle_s
        self._server = server_state
        self._loop = asyncio.get_running_loop()
        self._new = own_context().copy
        self._incoming: Incoming
        self._transport: asyncio.Transport
        self._stall: StallWatch
        self._common = Common()
        self._deaf = False
        self._answering: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._served = False
        self._held = False
        self._writable: asyncio.Future[None] | None = None
        self.since = 0.0
        self._timer: asyncio.TimerHandle

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._stall = StallWatch(self._transport, self._idle_s)
        peer = transport.get_extra_info("peername")
        self._incoming = Incoming(
            self, peer[0] if peer else "", self._take, self._application.methods
        )
        self._server.connections.add(cast("Any", self))
        self.since = self._loop.time()
        self._timer = self._loop.call_later(self._idle_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # however it ended, it has
        self._server.connections.discard(cast("Any", self))
        self._timer.cancel()
        self._incoming.close()
        self.resume_writing()
        for exchange in (self._answering, *self._queue):
            if exchange is not None:
                exchange.abandon()
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        if self._deaf or self._gate.turns_away(self, data):
            return
        try:
            self._incoming.feed(data)
        except PenstockError as error:
            self._break_off(error)
        else:
            if self._incoming.in_head:
                self._look()
            elif self._incoming.arriving is not None and not self._incoming.arriving.begun:
                # It waits for its turn: what is left of its body may wait outside.
                self.hold()

    def eof_received(self) -> bool:
        """A client that sends no more may still read: what it asked for is answered.

        Not so where it stopped within a request, and over TLS, which knows no such state.
        """
        within = self._incoming.in_head or self._incoming.arriving is not None
        if within or self._answering is None or not self._transport.can_write_eof():
            return False
        self._deaf = True
        self._end_after_last()
        return True

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()
        self._stall.begin()

    def resume_writing(self) -> None:
        self._stall.end()
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    # What the server calls.

    def is_silent_since(self, before: float) -> bool:
        """Whether it was made, or began its first request, before then and has sent none whole."""
        return not self._served and self._answering is None and self.since < before

    def give_way(self) -> None:
        """End it, for others to take its place."""
        self._server.connections.discard(cast("Any", self))
        self._transport.abort()

    def shutdown(self) -> None:
        """Close as soon as the request under way, if there is one, is answered."""
        if self._answering is not None:
            self._answering.keep_alive = False
        elif not self._held:
            # Held with nothing under way, it has a request that was postponed.
            self._transport.close()

    # What an exchange calls.

    @property
    def common(self) -> bytes:
        # uvicorn makes these anew every second.
        return self._common.of(self._server.default_headers)

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def begin(self, exchange: Exchange) -> None:
        if exchange.gone:
            self._gate.leave(exchange)
        else:
            self._server.tasks.add(self._loop.create_task(self._run(exchange), context=self._new()))

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

    def begun(self) -> None:
        self.since = self._loop.time()

    def answered(self, exchange: Exchange) -> None:
        self.since = self._loop.time()
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

    # What the short way calls.

    @property
    def date(self) -> list[tuple[bytes, bytes]]:
        return self._server.default_headers

    @property
    def is_free(self) -> bool:
        incoming = self._incoming
        under_way = incoming.in_head or incoming.arriving or self._answering or self._writable
        return not (under_way or self._leaving.begun or self._transport.is_closing())

    def cut_short(self, answer: bytes) -> None:
        self.go_on()
        self._transport.write(answer)
        self.since = self._loop.time()
        self._served = True

    def take_up(self, data: bytes) -> None:
        self.go_on()
        if not self._transport.is_closing():
            self.data_received(data)

    # Our own.

    def _take(self, exchange: Exchange) -> None:
        if self._leaving.begun:
            exchange.keep_alive = False
        if self._answering is None:
            self._answer(exchange)
        elif len(self._queue) < MOST_QUEUED:
            self._queue.append(exchange)
            self.hold()
        else:
            raise malformed("Too many requests wait on this connection.")

    def _answer(self, exchange: Exchange) -> None:
        self._answering = exchange
        self._gate.receive(exchange)

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._application(exchange.scope, exchange.receive, exchange.send)
            # What the client has not taken yet is in hand, too.
            await self.drained()
        finally:
            self._server.tasks.discard(cast("asyncio.Task[None]", asyncio.current_task(self._loop)))
            self._gate.leave(exchange)
            if not exchange.finished and not exchange.gone:
                self._transport.abort()

    def turn_away(self, exchange: Exchange) -> None:
        """The long way. A client that reads no answers waits for the next one."""
        if self._writable is not None:
            self._writable.add_done_callback(lambda _: self.turn_away(exchange))
        elif not exchange.gone:
            error = self._gate.overloaded()
            exchange.refuse(self._application.refuse(error, exchange.scope["headers"]))

    def _look(self) -> None:
        """Act where the client was silent for too long; else look again when it could have been."""
        self._timer.cancel()
        if self._transport.is_closing():
            return
        incoming = self._incoming
        expects = incoming.in_head or self._deaf or incoming.arriving is not None
        now = self._loop.time()
        due = self.since + (KEEP_ALIVE_S if self._served and not expects else self._idle_s)
        if self._answering is not None and not incoming.in_head:
            due = now + self._idle_s
        if now < due:
            self._timer = self._loop.call_at(due, self._look)
        elif incoming.in_head and not self._deaf:
            self._break_off(request_timeout())
        else:
            self._transport.abort()

    def _break_off(self, error: PenstockError) -> None:
        """Answer with a problem, where it cannot be taken for the answer to another request."""
        self._deaf = True
        broken, self._incoming.arriving = self._incoming.arriving, None
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
        self._transport.write(closing(self.common, self._application.refuse(error)))
        self._linger()

    def _end_after_last(self) -> None:
        """Close when all requests that have arrived are answered."""
        last = self._queue[-1] if self._queue else self._answering
        if last is not None:
            last.keep_alive = False

    def _linger(self) -> None:
        """Close in our direction, and read away what comes until the client closes in its own.

        A plain close would reset the connection under a client that is still sending, and take the
        answer away with it. Over TLS it is the client that closes first, having read that we will.
        """
        self._deaf = True
        self.since = self._loop.time()
        self.go_on()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._look()
