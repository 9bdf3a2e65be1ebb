"""A closed-loop HTTP/1.1 load generator: raw requests over kept connections, answers checked.

Written for one core: it costs about a third of what it measures, and says so itself (`cpu_share`),
so that a result that is the generator's limit can be told from the server's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, cast

Next = Callable[[], bytes | None]
"""The next request of a connection, complete; None when it has none left."""


class Outcome(NamedTuple):
    """What a run came to.

    Attributes:
        requests: answered with the status that was expected.
        seconds: from the first request to the last answer.
        latencies: of each request, in seconds, sorted.
        last_bodies: the last answer's body of each connection.
        cpu_share: of the time, how much the generator itself worked.
    """

    requests: int
    seconds: float
    latencies: list[float]
    last_bodies: list[bytes]
    cpu_share: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def percentile(self, part: float) -> float:
        """In ms."""
        return 1000 * self.latencies[min(int(part * len(self.latencies)), len(self.latencies) - 1)]


class _Connection(asyncio.Protocol):
    """One connection, one request under way at a time."""

    def __init__(self, next_request: Next, status: bytes, done: asyncio.Future[None]) -> None:
        self._next = next_request
        self._start = b"HTTP/1.1 " + status
        self._done = done
        self._buffer = b""
        self._sent = 0.0
        self.latencies: list[float] = []
        self.last_body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        request = self._next()
        if request is None:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = buffer
            return
        head = buffer[:end].lower()
        at = head.find(b"content-length:")
        if at >= 0:
            length = int(head[at + 15 : head.find(b"\r", at) if b"\r" in head[at:] else None])
            complete = len(buffer) - end - 4 >= length
        else:
            complete = buffer.endswith(b"0\r\n\r\n")
        if not complete:
            self._buffer = buffer
            return
        self._buffer = b""
        self.latencies.append(time.perf_counter() - self._sent)
        if not buffer.startswith(self._start):
            self._fail(f"answered {buffer[:300]!r}")
            return
        self.last_body = buffer[end + 4 :]
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"connection lost: {error}")

    def _fail(self, reason: str) -> None:
        if not self._done.done():
            self._done.set_exception(RuntimeError(reason))
            self._transport.close()


async def run(host: str, port: int, requests: list[Next], status: bytes) -> Outcome:
    """Work each connection's requests off, one after another, all connections together."""
    loop = asyncio.get_running_loop()
    waits: list[asyncio.Future[None]] = []
    connections: list[_Connection] = []
    begin, cpu = time.perf_counter(), time.process_time()
    for next_request in requests:
        done: asyncio.Future[None] = loop.create_future()
        connection = _Connection(next_request, status, done)
        await loop.create_connection(lambda one=connection: one, host, port)  # type: ignore[misc]  # a lambda's default is not inferred
        waits.append(done)
        connections.append(connection)
    await asyncio.gather(*waits)
    seconds = time.perf_counter() - begin
    latencies = sorted(one for each in connections for one in each.latencies)
    return Outcome(
        len(latencies),
        seconds,
        latencies,
        [each.last_body for each in connections],
        (time.process_time() - cpu) / seconds,
    )


def request(method: str, path: str, key: str, body: bytes = b"", content_type: str = "") -> bytes:
    """A complete request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body
