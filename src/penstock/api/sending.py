"""Sending an answer: whole, or in pieces."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from penstock.api.asgi import Send
from penstock.api.quota import fields, paced
from penstock.api.request import Request
from penstock.api.response import Headers, Response, Streamed

_CLOSE: Final = (b"connection", b"close")
_BODILESS: Final = frozenset((204, 304))
_TIMED_OUT: Final = 408
_PROBLEMS: Final = 400


async def send_whole(request: Request, answer: Response, send: Send) -> None:
    """Raises `ClientGone`."""
    status, headers, body = answer
    length: Headers = ()
    if status not in _BODILESS:
        length = ((b"content-length", b"%d" % len(body)),)
    if request.method == "HEAD":
        body = b""
    # A problem costs nothing: it would put off the very moment that it names.
    now = request.timing.clock.monotonic()
    if request.meter is not None and status < _PROBLEMS:
        request.meter.debit(len(body), now)
    await send(_start(request, status, (*headers, *length), now))
    await send({"type": "http.response.body", "body": body})


async def send_stream(request: Request, answer: Streamed, send: Send) -> None:
    """As fast as its meter allows; the rest is closed, whatever happens. Raises `ClientGone`."""
    async with aclosing(answer.rest):
        now = request.timing.clock.monotonic()
        await send(_start(request, answer.status, answer.headers, now))
        if request.method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        await _send_piece(request, answer.first, send)
        async for piece in answer.rest:
            await _send_piece(request, piece, send)
        await send({"type": "http.response.body", "body": b""})


async def _send_piece(request: Request, piece: bytes, send: Send) -> None:
    if request.meter is not None:
        await paced(request.meter, len(piece), request.timing.clock)
    await send({"type": "http.response.body", "body": piece, "more_body": True})


def _start(request: Request, status: int, headers: Headers, now: float) -> dict[str, object]:
    more: Headers = ((b"x-request-id", request.request_id.encode()),)
    if request.meter is not None:
        more = (*more, *fields(request.meter, now))
    # Where a client holds its body back until asked, and nobody will ask, what it sends next could
    # be that body or another request.
    if status == _TIMED_OUT or (request.body_pending and b"expect" in request.headers):
        more = (*more, _CLOSE)
    return {"type": "http.response.start", "status": status, "headers": (*headers, *more)}
