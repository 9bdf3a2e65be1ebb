"""One exchange whose bodies pass through piece by piece, on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import httptools

from penstock.api.forward.link import NOT_PASSED_ON, Broken
from penstock.api.forward.upstream import CONNECT_S, Upstream
from penstock.api.response import Header, Headers

_READ: Final = 256 * 1024


class Stream:
    """A request under way, and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[Header] = []
        self._pieces: list[bytes] = []
        self._begun = False
        self._complete = False

    @classmethod
    async def open(cls, upstream: Upstream) -> Stream:
        """Connect. Raises `Broken`."""
        address = upstream.address
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    address.ip, address.port, limit=_READ, **address.options
                )
        except (OSError, TimeoutError):
            upstream.refused()
            raise Broken from None
        return cls(reader, writer)

    async def send(self, data: bytes) -> None:
        """Send more of the request, as fast as it is taken. Raises `Broken`."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            raise Broken from None

    async def head(self) -> tuple[int, Headers]:
        """The status of the answer, and its headers that are passed on. Raises `Broken`."""
        while not self._begun:
            await self._more()
        return self._parser.get_status_code(), tuple(self._headers)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body of the answer, as it comes. Raises `Broken` where its end never comes."""
        while True:
            if self._pieces:
                pieces, self._pieces = self._pieces, []
                yield b"".join(pieces)
            elif self._complete:
                return
            else:
                await self._more()

    def close(self) -> None:
        """Give up what is under way, if anything is."""
        self._writer.transport.abort()

    async def _more(self) -> None:
        try:
            data = await self._reader.read(_READ)
            if not data:
                raise Broken
            self._parser.feed_data(data)
        except (OSError, httptools.HttpParserError):
            raise Broken from None

    # What llhttp calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name not in NOT_PASSED_ON:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._begun = True

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._complete = True
