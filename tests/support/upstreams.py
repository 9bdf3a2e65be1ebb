"""Services behind an API process, in this event loop: real ones, and ones that misbehave on cue."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from tests.support.asgi import application_of
from tests.support.house import House

from penstock.access import Vouchers
from penstock.api.app import Application
from penstock.api.forward import Fleet, Forwarding
from penstock.api.forward.address import Place
from penstock.api.route import Role
from penstock.api.routes import ROUTES, routes_of
from penstock.api.server import Server

READY: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]
"""What is done to a request whose head has arrived; the connection goes on after it."""


class Scripted:
    """Says that it is ready, and does to each other request what it is told to do.

    Attributes:
        heads: of the requests that came.
        connections: how many were taken for them.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.heads: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        first = True
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    if head.startswith(b"GET /readyz"):
                        writer.write(READY)
                        return
                    self.connections += first
                    first = False
                    self.heads.append(head)
                    await self.behaviour(reader, writer, head)
                    if writer.is_closing():
                        return
        finally:
            self._tasks.discard(task)
            writer.close()


def header(head: bytes, name: bytes) -> bytes | None:
    """The value of a header of a request's head."""
    for line in head.split(b"\r\n")[1:]:
        found, _, value = line.partition(b": ")
        if found == name:
            return value
    return None


async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _head: bytes) -> None:
    """No answer, and the end of the connection."""
    writer.close()


async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _head: bytes) -> None:
    """No answer, and no end."""
    await asyncio.Event().wait()


async def half(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _head: bytes) -> None:
    """Half an answer."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()


def saying(answer: bytes) -> Behaviour:
    """A whole answer, to a request without a body or with a whole one."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        await reader.readexactly(int(header(head, b"content-length") or b"0"))
        writer.write(answer)

    return say


class Running:
    """An application on a port of its own."""

    def __init__(self, application: Application, house: House) -> None:
        configuration = house.configuration.model_copy(update={"port": 0})
        self.server = Server(application, configuration)
        self._url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self.server.run(self._url.set_result))

    async def port(self) -> int:
        return int((await self._url).rpartition(":")[2])

    async def stop(self) -> None:
        self.server.stop()
        await self._task


def service_of(house: House, role: Role) -> Application:
    """A house as one of its services."""
    return application_of(house, routes=routes_of(role), vouchers=vouchers_of(house))


def vouchers_of(house: House) -> Vouchers:
    return Vouchers(house.engines.secret, house.engines.clock)


async def passing_on(
    house: House, ports: Mapping[Role, Sequence[int]], tls: ssl.SSLContext | None = None
) -> tuple[Application, Forwarding]:
    """An API process of this house that passes on to these ports; `Forwarding` is to be closed."""
    clock, entropy = house.engines.clock, house.engines.entropy
    fleets = {
        role: Fleet(
            role.value, [Place("127.0.0.1", port, tls) for port in some], 0.5, clock, entropy
        )
        for role, some in ports.items()
    }
    forwarding = Forwarding(fleets, vouchers_of(house), clock)
    await forwarding.start()
    return application_of(house, routes=forwarding.routes(ROUTES)), forwarding
