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

from penstock.api.acceptor import Acceptor, most_connections
from penstock.api.app import Application
from penstock.api.connection import Connection
from penstock.api.head import closing, lines
from penstock.api.leaving import Leaving
from penstock.api.tls import Certificate
from penstock.config import Configuration
from penstock.errors import ConfigurationError, Unavailable

_BACKLOG: Final = 2048
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_REFRESH_S: Final = 5.0
"""How often the certificate's files are looked at."""
_ALWAYS: Final = [("x-content-type-options", "nosniff")]
_SECURED: Final = [("strict-transport-security", "max-age=31536000")]

Announce = Callable[[str], None]
"""Told the server's address, once it takes requests."""


class Server:
    """Serves the application until SIGTERM, SIGINT or `stop`, then drains."""

    def __init__(self, application: Application, configuration: Configuration) -> None:
        self.leaving = Leaving()
        self._host = configuration.host
        self._port = configuration.port
        self._certificate = _certificate(configuration)
        self._idle_s = configuration.idle_ms / 1000
        self._most = configuration.max_connections
        self._application = application
        self._config = uvicorn.Config(
            cast("Any", application),
            http=Connection,
            loop="none",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=_ALWAYS if self._certificate is None else _ALWAYS + _SECURED,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=cast("int", configuration.drain_ms / 1000),
        )
        self._uvicorn = _Uvicorn(self._config)
        self._uvicorn.accepting = self._accepting
        self._uvicorn.leaving = self.leaving
        self._uvicorn.grace_s = configuration.drain_grace_ms / 1000
        if self._certificate is not None:
            self._uvicorn.on_hangup = partial(self._certificate.refresh, forced=True)

    async def run(self, announce: Announce) -> None:
        """Listen, announce, serve, drain. Raises `ConfigurationError` where it cannot listen."""
        with self._listening() as listening:
            scheme = "http" if self._certificate is None else "https"
            self._uvicorn.on_startup = partial(announce, _url(scheme, listening))
            watching = asyncio.create_task(self._watch())
            try:
                await self._uvicorn.serve([listening])
            finally:
                watching.cancel()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._uvicorn.server_state.connections)

    def stop(self) -> None:
        """As on SIGTERM: leave, in so many steps, and return from `run`.

        For `drain_grace_ms` everything is served as before, but `leaving` is set: by that, the
        process is not ready, and every answer ends its connection. Then no more connections are
        taken, idle ones are closed, and requests under way finish, within `drain_ms`.

        To be called in the thread of the event loop.
        """
        self._uvicorn.should_exit = True

    async def _watch(self) -> None:
        """Look whether the certificate was replaced."""
        while self._certificate is not None:
            await asyncio.sleep(_REFRESH_S)
            self._certificate.refresh()

    def _accepting(self, listening: socket.socket) -> Acceptor:
        state = self._uvicorn.server_state

        def refusal() -> bytes:
            busy = Unavailable("overloaded", retry_after=1)
            return closing(lines(state.default_headers), self._application.refuse(busy))

        return Acceptor(
            listening,
            lambda: Connection(self._application, self.leaving, self._idle_s, state),
            cast("set[Connection]", state.connections),
            refusal,
            most_connections(self._most),
            self._certificate,
            self._idle_s,
        )

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
    on_hangup: Callable[[], None] | None = None
    accepting: Callable[[socket.socket], Acceptor]
    leaving: Leaving
    grace_s: float
    _grace_over = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections by an acceptor of ours: uvicorn would leave it to the event loop."""
        acceptors = [self.accepting(one) for one in sockets or []]
        self.servers = cast("Any", acceptors)
        for one in acceptors:
            one.start()
        self.started = True
        self.on_startup()

    async def on_tick(self, counter: int) -> bool:
        ends = await super().on_tick(counter)
        if not ends:
            return False
        if not self.leaving.begun:
            self.leaving.begun = True
            asyncio.get_running_loop().call_later(self.grace_s, self._end_grace)
        # A second signal is impatience.
        return self._grace_over or self.force_exit or not self.grace_s

    def _end_grace(self) -> None:
        self._grace_over = True

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
        if self.on_hangup is not None:
            loop.add_signal_handler(signal.SIGHUP, self.on_hangup)
        try:
            yield
        finally:
            for number in (*_SIGNALS, signal.SIGHUP):
                loop.remove_signal_handler(number)


def _certificate(configuration: Configuration) -> Certificate | None:
    """The one to show. Raises `ConfigurationError` where it cannot be used."""
    if configuration.tls_cert is not None:
        return Certificate(configuration.tls_cert, configuration.tls_key)
    if configuration.tls_key is not None:
        raise ConfigurationError("PENSTOCK_TLS_KEY is set, and PENSTOCK_TLS_CERT is not")
    return None


def _url(scheme: str, listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
