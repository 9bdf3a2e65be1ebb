"""One request and its answer on a connection: ASGI's `receive` and `send`."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from penstock.api.asgi import ClientGone, Message, Scope
from penstock.api.head import STATUS_LINES, lines
from penstock.api.line import Line
from penstock.api.response import Headers, Response

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = (b"connection", b"close")
_CHUNKED: Final = (b"transfer-encoding", b"chunked")
_LAST_CHUNK: Final = b"0\r\n\r\n"
_BODILESS: Final = frozenset((204, 304))
_MOST_WAITING: Final = 256 * 1024
"""Bytes of a body that wait to be received, above which no more are read from the socket: what the
event loop reads at once. With a quarter of it, a bulk was a twentieth slower."""


class Wire(Protocol):
    """What an exchange needs of its connection."""

    @property
    def common(self) -> bytes:
        """The header lines that every answer carries, the Date of now among them."""
        ...

    def write(self, data: bytes) -> None: ...

    def begin(self, exchange: Exchange) -> None:
        """Work on it."""
        ...

    def turn_away(self, exchange: Exchange) -> None:
        """Refuse it."""
        ...

    async def drained(self) -> None:
        """Wait while the client reads too slowly."""
        ...

    def hold(self) -> None:
        """Read no more for the moment."""
        ...

    def go_on(self) -> None:
        """Read again."""
        ...

    def begun(self) -> None:
        """The head of a request has begun to arrive."""
        ...

    def answered(self, exchange: Exchange) -> None:
        """The answer is complete."""
        ...


def scope_of(
    method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], client: str
) -> Scope:
    """ASGI's description of a request, with the members that we use.

    Args:
        method: its method.
        target: its path and query.
        headers: by names in lower case.
        client: the address at the other end of the connection; not a pair, as ASGI has it.
    """
    path, _, query = target.partition(b"?")
    return {
        "type": "http",
        "method": method.decode("ascii"),
        "raw_path": path,
        "query_string": query,
        "headers": headers,
        "client": client,
    }


class Exchange:
    """A request that arrives, and the answer to it.

    Attributes:
        scope: of the request; see `scope_of`.
        keep_alive: whether the connection may go on after it.
        whole: whether all of the request has arrived.
        started, finished: whether its answer has begun, and is complete.
        gone: whether there is no one to answer any more.
        line, since, declared: see `line.Guest`.
        begun: whether it is being worked on.
        kept_waiting: whether its client let it wait for its body.
    """

    __slots__ = (
        "_chunked",
        "_expects",
        "_head",
        "_mute",
        "_pieces",
        "_plain",
        "_waiter",
        "_waiting",
        "_wire",
        "begun",
        "declared",
        "finished",
        "gone",
        "keep_alive",
        "kept_waiting",
        "line",
        "scope",
        "since",
        "started",
        "whole",
    )

    def __init__(
        self, wire: Wire, scope: Scope, *, keep_alive: bool, plain: bool, expects: bool
    ) -> None:
        """See the class; `plain`: HTTP/1.0; `expects`: the body comes only when asked for."""
        self._wire = wire
        self.scope = scope
        self.keep_alive = keep_alive
        self._plain = plain
        # An answer 100 is nothing that HTTP/1.0 knows.
        self._expects = expects and not plain
        self._mute = scope["method"] == "HEAD"
        self.whole = self.started = self.finished = self.gone = False
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        self._chunked = False
        self.begun = self.kept_waiting = False
        self.line: Line | None = None
        self.since = 0.0
        self.declared = 0

    def begin(self, waited_s: float) -> None:
        """It is its turn."""
        self.begun = True
        if waited_s and self.whole:
            self.scope["waited"] = waited_s
        self._wire.begin(self)

    def turn_away(self) -> None:
        """There is no room for it. Not at once: it may be one of many that were pipelined."""
        asyncio.get_running_loop().call_soon(self._wire.turn_away, self)

    @property
    def has_waited(self) -> bool:
        return self.kept_waiting or "waits" in self.scope

    def refuse(self, answer: Response) -> None:
        """Answer it, with none of its body read."""
        status, headers, body = answer
        length = (b"content-length", b"%d" % len(body))
        # As in `app`: a body that was held back will not be asked for any more.
        close = (_CLOSE,) if self._expects and not self.whole else ()
        self._begin(status, (*headers, length, *close))
        self._wire.write(self._head + (b"" if self._mute else body))
        self.finished = True
        self._wire.answered(self)

    def feed(self, body: bytes) -> None:
        """More of the body has arrived. After the answer, it interests no one."""
        if not self.finished:
            self._pieces.append(body)
            self._waiting += len(body)
            if self._waiting > _MOST_WAITING:
                self._wire.hold()
            self._wake()

    def complete(self) -> None:
        """All of the body has arrived."""
        self.whole = True
        self._wake()

    def abandon(self) -> None:
        """There is no one to answer any more."""
        self.gone = True
        self._wake()

    async def receive(self) -> Message:
        if not (self._pieces or self.whole or self.gone):
            await self._more()
        if self.gone or self.finished:
            return {"type": "http.disconnect"}
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._waiting = 0
        return {"type": "http.request", "body": body, "more_body": not self.whole}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._begin(message["status"], message["headers"])
            return
        await self._wire.drained()
        if self.gone:
            raise ClientGone
        body, more = message["body"], message.get("more_body", False)
        if self._mute:
            body = b""
        elif self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += _LAST_CHUNK
        self._wire.write(self._head + body)
        self._head = b""
        if not more:
            self.finished = True
            self._wire.answered(self)

    def _begin(self, status: int, headers: Headers) -> None:
        """The head waits for the first of the body: they leave together."""
        self.started = True
        names = [name for name, _ in headers]
        if b"content-length" not in names and status not in _BODILESS:
            # To HTTP/1.0, an answer without a length ends where the connection does.
            self._chunked = not self._plain
            if self._chunked:
                headers = (*headers, _CHUNKED)
            else:
                self.keep_alive = False
        if b"connection" in names:
            self.keep_alive = False
        elif not self.keep_alive:
            headers = (*headers, _CLOSE)
        self._head = b"%b%b%b\r\n" % (STATUS_LINES[status], self._wire.common, lines(headers))

    async def _more(self) -> None:
        self.kept_waiting = True
        if self._expects and not self.started:
            self._expects = False
            self._wire.write(CONTINUE)
        self._wire.go_on()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
