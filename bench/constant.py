"""The ceiling: the same HTTP server answering a constant, `python -m bench.constant`.

With `--plain`, uvicorn's own connections instead of ours; with `--nothing`, a socket that answers
whatever comes with the same bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

import uvicorn
import uvloop

from penstock.api.app import Application
from penstock.api.gate import Gate
from penstock.api.router import Router
from penstock.api.server import Server
from penstock.config import Configuration

Message = MutableMapping[str, Any]
BODY = b'{"id":"read-000001","version":"000100000000000000000001","data":{"constant":true}}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def constant(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Any]
) -> None:
    assert scope["type"] == "http"
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


def plain() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]} ", flush=True)
    config = uvicorn.Config(
        constant, loop="uvloop", http="httptools", lifespan="off", access_log=False,
        log_level="warning", server_header=False,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listener])


class Constant:
    """In the application's place."""

    def __init__(self, configuration: Configuration) -> None:
        self.gate = Gate(Router(()), configuration, "0" * 10)

    def methods(self, path: bytes) -> tuple[str, ...]:
        del path
        return ("GET",)

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[..., Any]
    ) -> None:
        await constant(scope, receive, send)


async def ours() -> None:
    configuration = Configuration.read(port=0)
    server = Server(cast("Application", Constant(configuration)), configuration)
    await server.run(lambda url: print(f"{url} ", flush=True))


class Nothing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        del data
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
        )


async def nothing() -> None:
    server = await asyncio.get_running_loop().create_server(Nothing, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]} ", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--nothing", action="store_true")
    chosen = parser.parse_args()
    if chosen.plain:
        plain()
    else:
        uvloop.install()
        asyncio.run(nothing() if chosen.nothing else ours())


if __name__ == "__main__":
    main()
