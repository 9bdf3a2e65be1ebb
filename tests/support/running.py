"""The HTTP server in this event loop, to be spoken to byte by byte."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.support.house import House

from penstock.api.app import Application
from penstock.api.server import Server


class Running:
    """A server in this event loop."""

    def __init__(self, application: Application, house: House) -> None:
        self.server = Server(application, house.configuration)
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self.server.run(self.url.set_result))

    async def connect(self, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = (await self.url).rpartition("/")[2].split(":")
        return await asyncio.open_connection(host, int(port), **options)

    async def exchange(self, *pieces: bytes, pause_s: float = 0, **options: Any) -> bytes:
        """Send, and return all that comes until the server closes."""
        reader, writer = await self.connect(**options)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause_s)
        received = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return received


def answers(received: bytes) -> list[tuple[int, Any]]:
    """Statuses and JSON bodies of the answers one after another."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        length = int(headers["content-length"])
        found.append((int(lines[0].split()[1]), json.loads(rest[:length])))
        received = rest[length:]
    return found


def only(received: bytes) -> tuple[int, str]:
    ((status, body),) = answers(received)
    return status, body.get("code", "")
