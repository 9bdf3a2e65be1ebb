"""The HTTP server: uvicorn accepts, drains and stops, in the event loop that runs, on httptools."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, cast

import uvicorn

from penstock.api.app import Application
from penstock.api.connection import Connection
from penstock.config import Configuration
from penstock.errors import ConfigurationError

_BACKLOG: Final = 2048
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

Announce = Callable[[str], None]
"""Told the server's address, once it takes requests."""


class Server:
    """Serves the application until SIGTERM, SIGINT or `stop`, then drains."""

    def __init__(self, application: Application, configuration: Configuration) -> None:
        self._host = configuration.host
        self._port = configuration.port
        connection = partial(Connection, application, configuration.idle_ms / 1000)
        self._config = uvicorn.Config(
            cast("Any", application),
            http=cast("type[asyncio.Protocol]", connection),
            loop="none",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=cast("int", configuration.drain_ms / 1000),
        )
        self._uvicorn = _Uvicorn(self._config)

    async def run(self, announce: Announce) -> None:
        """Listen, announce, serve, drain. Raises `ConfigurationError` where it cannot listen."""
        with self._listening() as listening:
            self._uvicorn.on_startup = partial(announce, _url(listening))
            await self._uvicorn.serve([listening])

    def stop(self) -> None:
        """Take no more requests, finish those under way within `drain_ms`, and return from `run`.

        To be called in the thread of the event loop.
        """
        self._uvicorn.should_exit = True

    @contextmanager
    def _listening(self) -> Iterator[socket.socket]:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listening = socket.create_server(
                (self._host, self._port), family=family, backlog=_BACKLOG
            )
        except OSError as error:
            where = f"{self._host}, port {self._port}"
            raise ConfigurationError(f"cannot listen on {where}: {error.strerror}") from None
        with listening:
            yield listening


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, made to be one part of a process rather than all of it."""

    on_startup: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_startup()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # Those that outlasted the drain were cancelled: what they use is closed after this.
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As a part, it must not raise the signal once more at its end, as uvicorn does."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
