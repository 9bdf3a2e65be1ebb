"""An open-loop HTTP/1.1 load generator: requests are due at a rate, whatever comes of them.

The time of an answer counts from when its request was due, not from when it was sent: a server that
keeps its clients waiting cannot hide that by slowing them down (coordinated omission). Requests go
out on whichever kept connection is free, one at a time on each; where none is, they wait here, and
their time runs.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from bench.load import Connection, Exchange, connected

TICK_S = 0.001
"""uvloop rounds to ms: with less it would spin, on a core that the servers may need too."""
PATIENCE_S = 5.0
"""How long after the last request was due answers are waited for."""
PROMISED_MS = 500.0


class Stream(NamedTuple):
    """Operations of one kind.

    Attributes:
        gaps: the seconds from one to the next that is due.
        next: makes them.
        connections: at most so many are under way.
    """

    gaps: Callable[[], float]
    next: Callable[[], Exchange]
    connections: int


def steady(rate: float) -> Callable[[], float]:
    """The gaps of so many a second, all the same."""
    return itertools.repeat(1 / rate).__next__


def poisson(rate: float) -> Callable[[], float]:
    """The gaps of so many a second at random moments."""
    return partial(random.Random(1).expovariate, rate)


class Answers(NamedTuple):
    """What came of a stream. Latencies in ms, sorted.

    Attributes:
        seconds: for how long operations were due.
        due: how many were.
        served: latencies of those answered as was expected.
        refused: of those answered 503.
        failures: connections lost, and answers that were none of both.
    """

    seconds: float
    due: int
    served: list[float]
    refused: list[float]
    failures: list[Exception]

    @property
    def unanswered(self) -> int:
        """How many were given up, or failed."""
        return self.due - len(self.served) - len(self.refused)

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
        answers: by the name of the stream.
        cpu_share: of its core.
        late_ms: by how much its ticks came late, sorted: what it adds to latencies itself.
    """

    answers: dict[str, Answers]
    cpu_share: float
    late_ms: list[float]


class _Sender:
    """Sends one stream: operations that are due, and connections that are free, never both."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._connections: list[Connection] = []
        self._free: list[Connection] = []
        self._waiting: deque[float] = deque()
        self._failures: list[Exception] = []
        self._next_at = 0.0
        self._due = 0

    async def connect(self, host: str, port: int) -> None:
        for _ in range(self._stream.connections):
            one = await connected(host, port, self._idle, self._failed)
            self._connections.append(one)
            self._free.append(one)

    def begin(self, start: float) -> None:
        self._next_at = start + self._stream.gaps()

    def send_due(self, now: float) -> None:
        """Send what is due by now."""
        while self._next_at <= now:
            self._waiting.append(self._next_at)
            self._due += 1
            self._next_at += self._stream.gaps()
            if self._free:
                self._idle(self._free.pop())

    @property
    def is_done(self) -> bool:
        return len(self._free) == len(self._connections) - len(self._failures)

    def close(self, seconds: float) -> Answers:
        for one in self._connections:
            one.close()
        served = sorted(1000 * taken for one in self._connections for taken in one.latencies)
        refused = sorted(1000 * taken for one in self._connections for taken in one.refusals)
        return Answers(seconds, self._due, served, refused, self._failures)

    def _idle(self, connection: Connection) -> None:
        if self._waiting:
            connection.send(self._stream.next(), self._waiting.popleft())
        else:
            self._free.append(connection)

    def _failed(self, connection: Connection, error: Exception) -> None:
        self._failures.append(error)
        if connection in self._free:
            self._free.remove(connection)


async def drive(host: str, port: int, streams: dict[str, Stream], seconds: float) -> Load:
    """Send all streams, by name, for so long, and wait a while for the last answers."""
    senders = {name: _Sender(stream) for name, stream in streams.items()}
    for sender in senders.values():
        await sender.connect(host, port)
    gc.collect()
    gc.disable()
    cpu, start = time.process_time(), time.perf_counter()
    for sender in senders.values():
        sender.begin(start)
    late = await _send_for(list(senders.values()), start + seconds)
    cpu_share = (time.process_time() - cpu) / (time.perf_counter() - start)
    until = time.perf_counter() + PATIENCE_S
    while time.perf_counter() < until and not all(  # noqa: ASYNC110  # answers tell no one
        one.is_done for one in senders.values()
    ):
        await asyncio.sleep(TICK_S)
    answers = {name: sender.close(seconds) for name, sender in senders.items()}
    gc.enable()
    return Load(answers, cpu_share, late)


async def _send_for(senders: Sequence[_Sender], end: float) -> list[float]:
    """Look every ms until then for what is due; by how many ms each look came late, sorted."""
    loop = asyncio.get_running_loop()
    late: list[float] = []
    done: asyncio.Future[None] = loop.create_future()

    def tick(due: float) -> None:
        now = time.perf_counter()
        late.append(1000 * (now - due))
        for sender in senders:
            sender.send_due(min(now, end))
        if now >= end:
            done.set_result(None)
        else:
            loop.call_later(TICK_S, tick, now + TICK_S)

    tick(time.perf_counter())
    await done
    return sorted(late)
