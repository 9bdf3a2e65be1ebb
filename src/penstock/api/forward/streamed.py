"""Bulks and exports: passed on piece by piece, both ways."""

from __future__ import annotations

import asyncio
from typing import Final

from penstock.api.body import admit
from penstock.api.forward.link import Broken
from penstock.api.forward.message import message
from penstock.api.forward.passage import Passage
from penstock.api.forward.passing import UNAUTHENTICATED, Service, nobody
from penstock.api.forward.stream import Stream
from penstock.api.forward.upstream import Upstream
from penstock.api.forward.whole import PAUSES_S
from penstock.api.request import Request
from penstock.api.response import Answer, Response, Streamed
from penstock.api.route import Role, Route
from penstock.api.services import Services
from penstock.errors import OutcomeUnknown

_OK: Final = 200


class Streamer:
    """Passes streams on to one service.

    An export that got no answer is asked for again. A bulk is not, once a byte of it went out: it
    is not kept here. What became of it, its results tell as far as they came.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def pass_on(self, services: Services, route: Route, request: Request) -> Answer:
        """The service's answer. Raises `Unavailable`, and whatever it is refused for here."""
        voucher = await self._service.voucher(services, route, request)
        writes = route.role is Role.INGEST
        framing = b""
        if route.body is not None:
            admit(request.headers, route.media, services.configuration.max_bulk_bytes)
            framing = _framing(request)
        if writes:
            request.guard.late = OutcomeUnknown
        sent = False
        last: Upstream | None = None
        for pause_s in PAUSES_S:
            await asyncio.sleep(pause_s)
            last = self._service.fleet.choose(last)
            if last is None:
                continue
            try:
                stream = await Stream.open(last)
                sent = True
                passage = Passage(stream, last, request, writes=writes)
                return await self._answer(passage, message(request, voucher, framing))
            except Broken:
                if writes and sent:
                    break
        raise nobody(writes=writes, sent=sent)

    async def _answer(self, passage: Passage, head: bytes) -> Answer:
        """The answer, begun. Raises `Broken` where nothing of it has come."""
        try:
            status, headers = await passage.begin(head)
            if status == _OK:
                lines = passage.lines()
                return Streamed(status, headers, await anext(lines), lines)
            body = await passage.whole()
        except BaseException:
            passage.close()
            raise
        passage.close()
        if status == UNAUTHENTICATED:
            raise self._service.distrusts()
        return Response(status, headers, body)


def _framing(request: Request) -> bytes:
    """The header that says how long the body is: as the client's does."""
    length = request.headers.get(b"content-length")
    if length is not None:
        return b"content-length: %b\r\n" % length
    if b"transfer-encoding" in request.headers:
        return b"transfer-encoding: chunked\r\n"
    return b"content-length: 0\r\n"
