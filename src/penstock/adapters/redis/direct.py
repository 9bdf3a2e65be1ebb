"""A connection to a Redis by itself: commands out in one piece, replies in as they come, in order.

redis-py opens it, with all it knows of TLS, passwords and databases, and hands the stream over. Its
own way, one call at a time on a connection out of a pool, costs three times as much and more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import NoScriptError, ResponseError

_MORE: Final = object()
"""What hiredis answers where a reply is not complete yet."""


class Direct:
    """Asks one Redis. Belongs to the event loop that first uses it.

    Args:
        client: opens the connections, and is closed with this.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._wire: _Wire | None = None
        self._opening: asyncio.Task[_Wire] | None = None

    async def ask(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The replies, errors among them. Raises `RedisError`, OSError or TimeoutError.

        Giving up on it harms no one: the replies are read when they come, and let go.
        """
        if not commands:
            return []
        wire = self._wire
        if wire is None or wire.is_closed:
            wire = await self._opened()
        return await wire.ask(commands)

    def drop(self) -> None:
        """Give the connection up, with all that is under way on it: the next call opens another."""
        if self._wire is not None:
            self._wire.close()

    async def close(self) -> None:
        self.drop()
        if self._opening is not None:
            self._opening.cancel()
        await self._client.aclose()

    async def _opened(self) -> _Wire:
        """A new connection, the same for all who need one at the moment."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._has_opened)
        return await asyncio.shield(self._opening)

    async def _open(self) -> _Wire:
        # The driver leaves both untyped.
        connection: Any = self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # as said
        await connection.connect()
        return _Wire(connection)

    def _has_opened(self, opening: asyncio.Task[_Wire]) -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._wire = opening.result()


class _Call:
    """Commands that were sent together, and their replies so far."""

    __slots__ = ("count", "future", "replies")

    def __init__(self, count: int) -> None:
        self.count = count
        self.replies: list[Any] = []
        self.future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()


class _Wire(asyncio.Protocol):
    """The stream, taken over from a connection that is ready."""

    def __init__(self, connection: Any) -> None:
        # Kept: it closes the stream when it goes.
        self._connection = connection
        # There is no other way to have the stream handed over.
        self._transport: asyncio.Transport = connection._writer.transport  # noqa: SLF001  # as said
        self._reader = hiredis.Reader(replyError=_error, notEnoughData=_MORE)
        self._calls: deque[_Call] = deque()
        self.is_closed = False
        self._transport.set_protocol(self)

    def ask(self, commands: Sequence[tuple[Any, ...]]) -> asyncio.Future[list[Any]]:
        call = _Call(len(commands))
        self._calls.append(call)
        self._transport.write(b"".join(map(hiredis.pack_command, commands)))
        return call.future

    def close(self) -> None:
        self._transport.abort()
        self._fail("given up")

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _MORE:
                call = self._calls[0]
                call.replies.append(reply)
                if len(call.replies) == call.count:
                    self._calls.popleft()
                    if not call.future.done():
                        call.future.set_result(call.replies)
        except (hiredis.HiredisError, IndexError):
            # Not Redis, or more replies than questions: whose they are nobody can say.
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"lost: {exc}")

    def _fail(self, reason: str) -> None:
        self.is_closed = True
        # It has nothing to close any more.
        self._connection._reader = self._connection._writer = None  # noqa: SLF001  # as above
        calls, self._calls = self._calls, deque()
        for call in calls:
            if not call.future.done():
                call.future.set_exception(NotConnected(reason))


def _error(text: str) -> Exception:
    return NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text)
