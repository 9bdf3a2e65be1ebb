"""A stream on its way through this process: the body in, the lines out, and what if it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from penstock.api.asgi import ClientGone
from penstock.api.body import next_message
from penstock.api.forward.link import Broken
from penstock.api.forward.stream import Stream
from penstock.api.forward.upstream import Upstream
from penstock.api.messages import BulkFailed
from penstock.api.messages_search import ExportFailed
from penstock.api.problem import describe
from penstock.api.quota import paced
from penstock.api.request import Request, shutting_down
from penstock.api.response import Headers
from penstock.errors import OutcomeUnknown, PenstockError, Unavailable

_DURABLE: Final = b'"status":"durable"}\n'
"""How the result of a line that was accepted ends; in an id, its quotes would be escaped."""

_encode = msgspec.json.Encoder().encode


class Passage:
    """One stream; to be closed, whatever happens. `lines` does so at its end."""

    def __init__(
        self, stream: Stream, upstream: Upstream, request: Request, *, writes: bool
    ) -> None:
        self._stream = stream
        self._upstream = upstream
        self._request = request
        self._writes = writes
        self._sending: asyncio.Task[None] | None = None
        self._client_gone = False
        self._lines = 0
        self._durable = 0
        upstream.begin_stream(stream)

    async def begin(self, head: bytes) -> tuple[int, Headers]:
        """Send the request; the status and headers of its answer. Raises `Broken`, `ClientGone`."""
        await self._stream.send(head)
        if self._writes:
            self._sending = asyncio.create_task(self._send())
        try:
            return await self._stream.head()
        except Broken:
            self._raise_if_client_gone()
            raise

    async def whole(self) -> bytes:
        """The body of an answer that is no stream. Raises as `begin` does."""
        try:
            return b"".join([piece async for piece in self._stream.pieces()])
        except Broken:
            self._raise_if_client_gone()
            raise

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """The lines of the answer, as they come, and a last one in any case.

        Raises before the first line only, as `begin` does; and `ClientGone`.
        """
        begun = b""
        try:
            async for piece in self._stream.pieces():
                # Half a line, and then a last one, would be no line at all.
                lines, newline, begun = (begun + piece).rpartition(b"\n")
                if newline:
                    yield self._counted(lines + newline)
        except (Broken, asyncio.CancelledError) as error:
            self._raise_if_client_gone()
            if not self._lines:
                raise
            yield self._last(error)
        finally:
            self.close()

    def close(self) -> None:
        """Give up what is under way, if anything is."""
        if self._sending is not None:
            self._sending.cancel()
        self._stream.close()
        self._upstream.end_stream(self._stream)

    async def _send(self) -> None:
        """The client's body, as it comes, and no faster than it is taken, or its quota has it."""
        meter = self._request.meter
        chunked = b"transfer-encoding" in self._request.headers
        more = self._request.body_pending
        try:
            while more:
                message = await next_message(self._request)
                data: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                # Never so much at once that the service would lose its patience meanwhile.
                step = max(len(data), 1) if meter is None else meter.step
                for start in range(0, len(data), step):
                    part = data[start : start + step]
                    if meter is not None:
                        await paced(meter, len(part), self._request.timing.clock)
                    await self._stream.send(_chunk(part) if chunked else part)
            if chunked:
                await self._stream.send(b"0\r\n\r\n")
        except ClientGone:
            self._client_gone = True
            self._stream.close()
        except Broken:
            # Whoever reads the answer sees it too, after what has come of it.
            return

    def _counted(self, lines: bytes) -> bytes:
        self._lines += lines.count(b"\n")
        if self._writes:
            self._durable += lines.count(_DURABLE)
        return lines

    def _last(self, error: BaseException) -> bytes:
        """The last line of what could not go on."""
        told: PenstockError
        if isinstance(error, asyncio.CancelledError):
            # Only the server cancels, when a request outlasts the time given to it at a stop.
            told = shutting_down()
        elif self._writes:
            told = OutcomeUnknown()
        else:
            told = Unavailable("store_unavailable")
        problem = describe(told, self._request.request_id)
        if not self._writes:
            return _encode(ExportFailed(self._lines, problem)) + b"\n"
        refused = self._lines - self._durable
        failed = BulkFailed(accepted=self._durable, refused=refused, problem=problem)
        return _encode(failed) + b"\n"

    def _raise_if_client_gone(self) -> None:
        if self._client_gone:
            raise ClientGone


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)
