"""An HTTP/1.1 load generator: raw requests over kept connections, answers checked.

A closed loop (`run`): each connection asks again when it was answered; `open_loop` is the other
kind. Written for one core: it costs about a third of what it measures, and says so itself
(`cpu_share`), so that a result that is the generator's limit can be told from the server's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast

_REFUSED: Final = b"503"


class Exchange(NamedTuple):
    """One request, what it must be answered with, and what follows from that.

    Attributes:
        request: complete.
        status: the answer's must be it, or the run fails; but any may be refused, with 503.
        then: is told the answer's body; what it returns is asked next, on the same connection, and
            belongs to the same operation: its time counts from the first request. What it raises
            ends the run, so it is also the place to check a body.
    """

    request: bytes
    status: bytes = b"200"
    then: Callable[[bytes], Exchange | None] | None = None


Next = Callable[[], bytes | Exchange | None]
"""What a connection does next; None when it has nothing left. Bytes: with the status of the run."""


class Outcome(NamedTuple):
    """What a run came to.

    Attributes:
        requests: operations answered as was expected.
        seconds: from the first request to the last answer.
        latencies: of each operation, in seconds, sorted.
        last_bodies: the last answer's body of each connection.
        cpu_share: of the time, how much the generator itself worked.
        refused: operations that were answered 503, which is no failure of the server's.
    """

    requests: int
    seconds: float
    latencies: list[float]
    last_bodies: list[bytes]
    cpu_share: float
    refused: int = 0

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def percentile(self, part: float) -> float:
        """In ms."""
        assert self.latencies, "nothing was answered"
        return 1000 * share(self.latencies, part)


class Connection(asyncio.Protocol):
    """One connection, one exchange under way at a time.

    Args:
        idle: called when there is nothing to do, at first and after each operation.
        failed: called with what went wrong; then it is closed.

    Attributes:
        latencies: in seconds, of operations answered as was expected.
        refusals: likewise, of those answered 503.
        last_body: the last answer's.
    """

    def __init__(
        self,
        idle: Callable[[Connection], None],
        failed: Callable[[Connection, Exception], None],
    ) -> None:
        self._idle = idle
        self._failed = failed
        self._buffer = b""
        self._began = 0.0
        self._exchange: Exchange
        self._closing = False
        self.latencies: list[float] = []
        self.refusals: list[float] = []
        self.last_body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, exchange: Exchange, began: float) -> None:
        """Begin an operation, to be timed from `began`."""
        self._began = began
        self._exchange = exchange
        self._transport.write(exchange.request)

    def close(self) -> None:
        self._closing = True
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0 or not _complete(buffer, end):
            self._buffer = buffer
            return
        self._buffer = b""
        exchange = self._exchange
        if not buffer.startswith(exchange.status, 9):
            if buffer.startswith(_REFUSED, 9):
                self.refusals.append(time.perf_counter() - self._began)
                self._idle(self)
                return
            self._fail(RuntimeError(f"{exchange.request[:200]!r} was answered {buffer[:500]!r}"))
            return
        self.last_body = buffer[end + 4 :]
        if exchange.then is not None:
            try:
                following = exchange.then(self.last_body)
            except Exception as error:  # noqa: BLE001  # a check may raise what it likes
                self._fail(error)
                return
            if following is not None:
                self.send(following, self._began)
                return
        self.latencies.append(time.perf_counter() - self._began)
        self._idle(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(RuntimeError(f"connection lost: {error}"))

    def _fail(self, error: Exception) -> None:
        if not self._closing:
            self._closing = True
            self._failed(self, error)
            self._transport.close()


def _complete(buffer: bytes, end: int) -> bool:
    """Whether the answer, whose head ends there, has all of its body."""
    head = buffer[:end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        return buffer.endswith(b"0\r\n\r\n")
    stop = head.find(b"\r", at)
    length = int(head[at + 15 : stop if stop >= 0 else None])
    return len(buffer) - end - 4 >= length


def share(values: Sequence[float], part: float) -> float:
    """The value below which so large a part of the sorted values is; 0 where there are none."""
    return values[min(int(part * len(values)), len(values) - 1)] if values else 0.0


async def connected(
    host: str,
    port: int,
    idle: Callable[[Connection], None],
    failed: Callable[[Connection, Exception], None],
) -> Connection:
    connection = Connection(idle, failed)
    await asyncio.get_running_loop().create_connection(lambda: connection, host, port)
    return connection


async def run(host: str, port: int, requests: list[Next], status: bytes = b"200") -> Outcome:
    """Work each connection's requests off, one after another, all connections together."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    nexts: dict[Connection, Next] = {}
    begin, cpu = time.perf_counter(), time.process_time()

    def following(connection: Connection) -> None:
        one = nexts[connection]()
        if one is None:
            connection.close()
            del nexts[connection]
            if not nexts:
                done.set_result(None)
            return
        exchange = one if isinstance(one, Exchange) else Exchange(one, status)
        connection.send(exchange, time.perf_counter())

    def failed(_: Connection, error: Exception) -> None:
        if not done.done():
            done.set_exception(error)

    for next_request in requests:
        nexts[await connected(host, port, following, failed)] = next_request
    connections = list(nexts)
    for connection in connections:
        following(connection)
    await done
    seconds = time.perf_counter() - begin
    return Outcome(
        sum(len(one.latencies) for one in connections),
        seconds,
        sorted(taken for one in connections for taken in one.latencies),
        [one.last_body for one in connections],
        (time.process_time() - cpu) / seconds,
        sum(len(one.refusals) for one in connections),
    )


def request(
    method: str,
    path: str,
    key: str,
    body: bytes = b"",
    content_type: str = "",
    headers: str = "",
) -> bytes:
    """A complete request; `headers` are further lines, each with its end."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{headers}"
    if key:
        head += f"Authorization: Bearer {key}\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body
