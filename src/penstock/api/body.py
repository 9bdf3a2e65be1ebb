"""Taking a request's body: its media type, its coding, and how much of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from penstock.access import Meter
from penstock.api.asgi import ClientGone, Message
from penstock.api.coding import Decoder, decoder
from penstock.api.headers import HeaderMap
from penstock.api.pace import Pace
from penstock.api.quota import declared_size, paced
from penstock.api.request import Request, request_timeout
from penstock.errors import Malformed, TooLarge, Unsupported

_TURN: Final = 64
_CHARSETS: Final = (b"charset=utf-8", b'charset="utf-8"')


async def whole(request: Request, media: frozenset[bytes], most: int) -> bytes:
    """The body, decompressed; the request's deadline counts from when it is there.

    Its bytes are taken from the quota as they arrive, unless they were before, by their number.

    Args:
        request: whose.
        media: the media types that will do.
        most: bytes, after decompression.

    Raises `Unsupported`, `TooLarge`, `Malformed` (`invalid_body`), and 408 by the guard.
    """
    return await _read(request, admit(request.headers, media, most), most)


async def undecoded(request: Request, media: frozenset[bytes], most: int) -> bytes:
    """The body as it came, for whoever decompresses it; `most` counts as it came, too.

    The request's deadline counts from when it is there. Raises as `whole` does.
    """
    admit(request.headers, media, most)
    return await _read(request, None, most)


async def _read(request: Request, coding: Decoder | None, most: int) -> bytes:
    meter = request.meter
    if meter is not None and declared_size(request.headers) is not None:
        meter = None
    request.await_body(request.timing.idle_s)
    message = await next_message(request)
    first: bytes = message.get("body", b"")
    if coding is None and not message.get("more_body", False):
        if meter is not None:
            meter.debit(len(first), request.timing.clock.monotonic())
        if len(first) > most:
            raise too_large(most)
        request.begin()
        return first
    body = await _rest(request, message, coding, most, meter)
    request.begin()
    return body


async def pieces(
    request: Request, media: frozenset[bytes], most: int
) -> AsyncGenerator[bytes, None]:
    """The body of a stream, decompressed, as it arrives; raises as `whole` does.

    It is read only as fast as the quota has it. Only what we wait for the client counts against its
    pace, and each line that ends renews our patience: a stream may go on for as long as it likes.
    """
    coding = admit(request.headers, media, most)
    meter = request.meter
    pace = Pace(request.timing.idle_s)
    taken = 0
    more = True
    while more:
        message = await _in_time(request, pace)
        data: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        for piece in (data,) if coding is None else coding.pieces(data):
            taken += len(piece)
            if taken > most:
                raise too_large(most)
            if b"\n" in piece and not piece.isspace():
                pace.renew()
            else:
                pace.came(len(piece))
            if meter is not None:
                await paced(meter, len(piece), request.timing.clock)
            yield piece
    if coding is not None:
        coding.finish()


def refuse_body(headers: HeaderMap) -> None:
    """Raise `Malformed` where there is a body, for requests to which one would mean nothing."""
    if headers.get(b"content-length", b"0").strip(b"0 \t") or b"transfer-encoding" in headers:
        raise Malformed("invalid_body", "This request takes no body.")


def too_large(most: int) -> TooLarge:
    return TooLarge("body_too_large", f"A body here is at most {most} bytes.")


def admit(headers: HeaderMap, media: frozenset[bytes], most: int) -> Decoder | None:
    """What the headers alone decide: nothing is read of a body that cannot be taken."""
    given = headers.get(b"content-type", b"")
    if given not in media and not _is_one_of(given, media):
        wanted = " or ".join(sorted(one.decode() for one in media))
        raise Unsupported("unsupported_media_type", f"This request takes {wanted}.")
    coding = decoder(headers)
    length = headers.get(b"content-length")
    if length is not None and int(length) > most:
        raise too_large(most)
    return coding


def _is_one_of(content_type: bytes, media: frozenset[bytes]) -> bool:
    essence, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    return essence in media and all(one in _CHARSETS for one in parameters)


async def next_message(request: Request) -> Message:
    message = await request.receive()
    if message["type"] != "http.request":
        raise ClientGone
    request.body_pending = message.get("more_body", False)
    return message


async def _in_time(request: Request, pace: Pace) -> Message:
    """The next of a stream's body, waited for as long as its pace allows."""
    monotonic = request.timing.clock.monotonic
    asked = monotonic()
    try:
        async with asyncio.timeout(pace.left):
            message = await next_message(request)
    except TimeoutError:
        raise request_timeout() from None
    pace.waited(monotonic() - asked)
    return message


async def _rest(
    request: Request, message: Message, coding: Decoder | None, most: int, meter: Meter | None
) -> bytes:
    """The whole body, from its first message on."""
    body = bytearray()
    monotonic = request.timing.clock.monotonic
    pace = Pace(request.timing.idle_s)
    # For what is declared, and comes as it is, there is room already.
    is_declared = coding is None and b"content-length" in request.headers
    while True:
        data: bytes = message.get("body", b"")
        for turn, piece in enumerate((data,) if coding is None else coding.pieces(data), 1):
            body += piece
            if meter is not None:
                meter.debit(len(piece), request.timing.clock.monotonic())
            if len(body) > most:
                raise too_large(most)
            if not is_declared:
                request.hold(len(piece))
            if turn % _TURN == 0:
                # A body of a great many empty members is small, and takes long.
                await asyncio.sleep(0)
        if not message.get("more_body", False):
            break
        pace.came(len(data))
        request.await_body(pace.left)
        asked = monotonic()
        message = await next_message(request)
        pace.waited(monotonic() - asked)
    if coding is not None:
        coding.finish()
    return bytes(body)
