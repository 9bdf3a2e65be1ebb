"""An open-loop HTTP/1.1 load generator: requests leave at a constant rate, whatever comes of them.

The time of an answer counts from when its request was due, not from when it was sent: a server that
keeps its clients waiting cannot hide that by slowing them down (coordinated omission). Requests go
out on whichever kept connection is free, one at a time on each; where none is, they wait here, and
their time runs.
"""

from __future__ import annotations

import asyncio
import gc
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

TICK_S = 0.001
PROMISED_MS = 500.0
SERVED = (b"200", b"201", b"202")
REFUSED = b"503"

Next = Callable[[], bytes]
"""The next request, complete."""


class Stream(NamedTuple):
    """Requests of one kind.

    Attributes:
        name: of the kind.
        rate: requests a second.
        next: makes them.
        connections: at most so many are under way.
    """

    name: str
    rate: float
    next: Next
    connections: int


class Answers(NamedTuple):
    """What came of a stream. Latencies in ms, sorted.

    Attributes:
        seconds: for how long requests were due.
        due: how many were.
        served, refused: latencies of those answers.
        failed: other answers, connections lost, and requests never answered.
    """

    seconds: float
    due: int
    served: list[float]
    refused: list[float]
    failed: int

    @property
    def goodput(self) -> float:
        """Answers a second that were served within the promised time."""
        return bisect_right(self.served, PROMISED_MS) / self.seconds

    @property
    def all(self) -> list[float]:
        return sorted(self.served + self.refused)


class Load(NamedTuple):
    """What came of all streams, and how hard the generator worked for it.

    Attributes:
        answers: by stream.
        cpu_share: of its core.
        late_ms: by how much its ticks came late, sorted: what it adds to latencies itself.
    """

    answers: dict[str, Answers]
    cpu_share: float
    late_ms: list[float]


class _Connection(asyncio.Protocol):
    def __init__(self, sender: _Sender) -> None:
        self._sender = sender
        self._buffer = b""
        self.due = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        at = data.find(b"content-length: ")
        if end < 0 or at < 0 or len(data) - end - 4 < int(data[at + 16 : data.find(b"\r", at)]):
            self._buffer = data
            return
        self._buffer = b""
        self._sender.answered(self, data[9:12])

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._sender.lost(self)


class _Sender:
    """Sends one stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._free: list[_Connection] = []
        self._waiting: deque[float] = deque()
        self._sent = 0
        self._start = 0.0
        self._closing = False
        self.under_way = 0
        self.served: list[float] = []
        self.refused: list[float] = []
        self.failed = 0

    async def connect(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self._stream.connections):
            _, one = await loop.create_connection(lambda: _Connection(self), host, port)
            self._free.append(one)

    def begin(self, start: float) -> None:
        self._start = start

    def send_due(self, now: float) -> None:
        """Send what is due by now."""
        rate, start = self._stream.rate, self._start
        due_count = int((now - start) * rate) + 1
        while self._sent < due_count:
            due = start + self._sent / rate
            self._sent += 1
            if self._free:
                self._send(self._free.pop(), due)
            else:
                self._waiting.append(due)

    def answered(self, one: _Connection, status: bytes) -> None:
        taken = 1000 * (time.perf_counter() - one.due)
        self.under_way -= 1
        if status == REFUSED:
            self.refused.append(taken)
        elif status in SERVED:
            self.served.append(taken)
        else:
            self.failed += 1
        if self._waiting:
            self._send(one, self._waiting.popleft())
        else:
            self._free.append(one)

    def lost(self, one: _Connection) -> None:
        if self._closing:
            return
        self.failed += 1
        if one in self._free:
            self._free.remove(one)
        else:
            self.under_way -= 1

    @property
    def is_done(self) -> bool:
        return not self.under_way and not self._waiting

    def close(self, seconds: float) -> Answers:
        self._closing = True
        for one in self._free:
            one.transport.close()
        unanswered = self.under_way + len(self._waiting)
        served, refused = sorted(self.served), sorted(self.refused)
        return Answers(seconds, self._sent, served, refused, self.failed + unanswered)

    def _send(self, one: _Connection, due: float) -> None:
        one.due = due
        self.under_way += 1
        one.transport.write(self._stream.next())


async def drive(
    host: str, port: int, streams: Sequence[Stream], seconds: float, patience_s: float = 5.0
) -> Load:
    """Send all streams for so long, and wait for the answers for at most `patience_s` more."""
    senders = {stream.name: _Sender(stream) for stream in streams}
    for sender in senders.values():
        await sender.connect(host, port)
    gc.collect()
    gc.disable()
    loop = asyncio.get_running_loop()
    late: list[float] = []
    cpu, start = time.process_time(), time.perf_counter()
    for sender in senders.values():
        sender.begin(start)
    done: asyncio.Future[None] = loop.create_future()

    def tick(due: float) -> None:
        now = time.perf_counter()
        late.append(1000 * (now - due))
        for sender in senders.values():
            sender.send_due(min(now, start + seconds))
        if now >= start + seconds:
            done.set_result(None)
        else:
            loop.call_later(TICK_S, tick, now + TICK_S)

    tick(start)
    await done
    cpu_share = (time.process_time() - cpu) / (time.perf_counter() - start)
    until = time.perf_counter() + patience_s
    while time.perf_counter() < until and not all(  # noqa: ASYNC110  # answers tell no one
        one.is_done for one in senders.values()
    ):
        await asyncio.sleep(TICK_S)
    answers = {name: sender.close(seconds) for name, sender in senders.items()}
    gc.enable()
    return Load(answers, cpu_share, sorted(late))


def share(values: Sequence[float], part: float) -> float:
    """The value below which so large a part of the sorted values is; 0 where there are none."""
    return values[min(int(part * len(values)), len(values) - 1)] if values else 0.0
