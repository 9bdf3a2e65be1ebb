"""An HTTP/1.1 load generator: raw requests over kept connections, answers checked.

Closed loop (`run`): each connection asks again when it was answered. Open loop (`run_open`):
requests come when they are due, whether or not the server keeps up, and are timed from when they
were due, so that waiting for a free connection counts. Written for one core: it costs about a third
of what it measures, and says so itself (`cpu_share`), so that a result that is the generator's
limit can be told from the server's.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, cast

_LOOK_EVERY_S: Final = 0.001
"""uvloop rounds to ms: with less it would spin, on a core that the servers need too."""
_CATCH_UP_S: Final = 5.0
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
        unanswered: of an open loop, operations that were due and not answered when it was given up.
    """

    requests: int
    seconds: float
    latencies: list[float]
    last_bodies: list[bytes]
    cpu_share: float
    refused: int = 0
    unanswered: int = 0

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def percentile(self, part: float) -> float:
        """In ms."""
        return 1000 * self.latencies[min(int(part * len(self.latencies)), len(self.latencies) - 1)]


class _Connection(asyncio.Protocol):
    """One connection, one exchange under way at a time.

    Args:
        idle: called when there is nothing to do, at first and after each operation.
        failed: called with what went wrong.
    """

    def __init__(
        self, idle: Callable[[_Connection], None], failed: Callable[[Exception], None]
    ) -> None:
        self._idle = idle
        self._failed = failed
        self._buffer = b""
        self._began = 0.0
        self._exchange: Exchange
        self._closing = False
        self.latencies: list[float] = []
        self.refused = 0
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
                self.refused += 1
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
            self._failed(error)
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


class _Run:
    """Connections, and what came of them."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.connections: list[_Connection] = []

    def failed(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    async def connect(self, idle: Callable[[_Connection], None]) -> _Connection:
        loop = asyncio.get_running_loop()
        connection = _Connection(idle, self.failed)
        await loop.create_connection(lambda: connection, self._host, self._port)
        self.connections.append(connection)
        return connection

    def outcome(self, began: float, cpu: float) -> Outcome:
        seconds = time.perf_counter() - began
        share = (time.process_time() - cpu) / seconds
        latencies = sorted(one for each in self.connections for one in each.latencies)
        bodies = [each.last_body for each in self.connections]
        refused = sum(each.refused for each in self.connections)
        return Outcome(len(latencies), seconds, latencies, bodies, share, refused)


async def run(host: str, port: int, requests: list[Next], status: bytes = b"200") -> Outcome:
    """Work each connection's requests off, one after another, all connections together."""
    all_of_it = _Run(host, port)
    nexts: dict[_Connection, Next] = {}
    begin, cpu = time.perf_counter(), time.process_time()

    def following(connection: _Connection) -> None:
        one = nexts[connection]()
        if one is None:
            connection.close()
            del nexts[connection]
            if not nexts:
                all_of_it.done.set_result(None)
            return
        exchange = one if isinstance(one, Exchange) else Exchange(one, status)
        connection.send(exchange, time.perf_counter())

    for next_request in requests:
        nexts[await all_of_it.connect(following)] = next_request
    for connection in list(nexts):
        following(connection)
    await all_of_it.done
    return all_of_it.outcome(begin, cpu)


async def run_open(
    host: str,
    port: int,
    operation: Callable[[], Exchange],
    rate: float,
    seconds: float,
    connections: int = 256,
) -> Outcome:
    """So many operations a second, at random moments (a Poisson process), for so many seconds.

    What is still not answered some seconds later is given up, and counts with that time.
    """
    open_run = _OpenRun(host, port, operation)
    await open_run.prepare(connections)
    begin, cpu = time.perf_counter(), time.process_time()
    offered = await open_run.offer(rate, begin + seconds)
    await open_run.settle(time.perf_counter() + _CATCH_UP_S)
    outcome = open_run.outcome(begin, cpu)
    unanswered = offered - outcome.requests - outcome.refused
    latencies = sorted(outcome.latencies + [_CATCH_UP_S] * unanswered)
    return outcome._replace(latencies=latencies, unanswered=unanswered)


class _OpenRun(_Run):
    """Operations that are due, and connections that are free: never both."""

    def __init__(self, host: str, port: int, operation: Callable[[], Exchange]) -> None:
        super().__init__(host, port)
        self._operation = operation
        self._due: deque[float] = deque()
        self._free: deque[_Connection] = deque()

    async def prepare(self, connections: int) -> None:
        for _ in range(connections):
            self._free.append(await self.connect(self._idle))

    async def offer(self, rate: float, end: float) -> int:
        """Make operations due until then; how many were."""
        chance = random.Random(1)
        offered, at = 0, time.perf_counter() + chance.expovariate(rate)
        while at < end:
            self._raise_failure()
            now = time.perf_counter()
            while at <= now and at < end:
                offered += 1
                self._due.append(at)
                at += chance.expovariate(rate)
                if self._free:
                    self._idle(self._free.popleft())
            await asyncio.sleep(_LOOK_EVERY_S)
        return offered

    async def settle(self, until: float) -> None:
        """Wait for the last answers, and close."""
        while len(self._free) < len(self.connections) and time.perf_counter() < until:
            self._raise_failure()
            await asyncio.sleep(_LOOK_EVERY_S)
        for connection in self.connections:
            connection.close()
        self._raise_failure()

    def _idle(self, connection: _Connection) -> None:
        if self._due:
            connection.send(self._operation(), self._due.popleft())
        else:
            self._free.append(connection)

    def _raise_failure(self) -> None:
        if self.done.done():
            self.done.result()


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
