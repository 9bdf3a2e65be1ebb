"""Connections are taken as many as may be open, and no more, whatever becomes of them."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.asgi import application_of
from tests.support.house import House
from tests.support.running import Running, only

from penstock.api import acceptor
from penstock.api.acceptor import most_connections

MOST = 16
LIVE = b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    house = House(tmp_path, port=0, max_connections=MOST, drain_ms=1000)
    await house.start(worker=False)
    running = Running(application_of(house), house)
    yield running
    running.server.stop()
    await running.task
    await house.stop()


async def ask(stream: Stream) -> bytes:
    """The answer's head to a request on it; empty where it is closed."""
    reader, writer = stream
    writer.write(LIVE)
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    await reader.readexactly(15)
    return head


async def test_beyond_the_most_it_is_503_and_the_silent_give_way_to_others(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = [await running.connect() for _ in range(MOST // 2)]
    assert all([b" 200 " in await ask(one) for one in served])
    silent = [await running.connect() for _ in range(MOST // 2)]
    silent[0][1].write(b"GET /livez HT")
    await asyncio.sleep(0.05)
    # They may be about to ask: nobody is closed for that.
    refused = await running.exchange(LIVE)
    assert only(refused) == (503, "overloaded")
    assert b"\r\nretry-after: 1\r\n" in refused
    await asyncio.sleep(acceptor._REST_S)
    monkeypatch.setattr(acceptor, "_SILENT_S", 0.0)
    late = await running.connect()
    assert b" 200 " in await ask(late)
    assert await silent[1][0].read() == b""
    assert all([b" 200 " in await ask(one) for one in served])
    for _, writer in (*served, *silent, late):
        writer.close()


async def test_room_comes_back_when_connections_end(running: Running) -> None:
    for _ in range(5):
        crowd = [await running.connect() for _ in range(MOST)]
        assert all([b" 200 " in await ask(one) for one in crowd])
        for _, writer in crowd:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.05)


async def test_no_descriptor_left_is_waited_out(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running.url
    (taking,) = running.server._uvicorn.servers
    real, tries = taking._listening, 0  # type: ignore[attr-defined]  # it is an acceptor of ours

    class Exhausted:
        def accept(self) -> tuple[socket.socket, object]:
            nonlocal tries
            tries += 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        def fileno(self) -> int:
            return int(real.fileno())

        def setblocking(self, flag: bool) -> None:
            real.setblocking(flag)

    monkeypatch.setattr(taking, "_listening", Exhausted())
    stream = await running.connect()
    await asyncio.sleep(acceptor._REST_S * 3.5)
    assert 2 <= tries <= 4
    monkeypatch.setattr(taking, "_listening", real)
    assert b" 200 " in await ask(stream)
    stream[1].close()


@pytest.mark.parametrize(
    ("limits", "wanted", "most"),
    [
        ((65_536, 65_536), 4096, 4096),
        ((1024, 1024), 4096, 768),
        ((1024, 65_536), 4096, 4096),
        ((100, 100), 4096, 50),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 4096, 4096),
    ],
)
def test_the_files_that_may_be_open_bound_the_connections(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], wanted: int, most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    assert most_connections(wanted) == most
