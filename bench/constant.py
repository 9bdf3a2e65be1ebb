"""The ceiling: the same HTTP server answering a constant, `python -m bench.constant`.

With `--plain`, uvicorn's own connections instead of ours.
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


async def ours() -> None:
    server = Server(cast("Application", constant), Configuration.read(port=0))
    await server.run(lambda url: print(f"{url} ", flush=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plain", action="store_true")
    if parser.parse_args().plain:
        plain()
    else:
        uvloop.install()
        asyncio.run(ours())


if __name__ == "__main__":
    main()
