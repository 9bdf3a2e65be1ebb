"""Taking connections, as many as may be open at once.

The event loop's own servers know no such limit, and count no TLS handshake that is under way; and
where the process has no file descriptor left, uvloop's closes whoever comes, without a word.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from heapq import nsmallest
from typing import Final

from penstock.api.connection import Connection
from penstock.api.tls import Certificate
from penstock.telemetry.logs import logger

_AT_ONCE: Final = 64
"""Connections taken in one turn of the event loop."""
_RESERVED: Final = 256
"""File descriptors that are not for connections."""
_REST_S: Final = 0.1
_SILENT_S: Final = 1.0
"""After so long without a request, a new connection gives way to another."""
_LEAVE_S: Final = 0.5
_MOST_LEAVING: Final = 64
_SHUTDOWN_S: Final = 1.0

_log = logger("api")


class Acceptor:
    """Takes connections on a socket that listens.

    Args:
        listening: the socket.
        make: makes the protocol of a connection.
        connections: those that are open, kept by themselves.
        refusal: makes the answer on a connection too many, whole.
        most: how many may be open.
        certificate: where there is TLS.
        handshake_s: how long a handshake may take.
    """

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[], Connection],
        connections: set[Connection],
        refusal: Callable[[], bytes],
        most: int,
        certificate: Certificate | None,
        handshake_s: float,
    ) -> None:
        self._listening = listening
        self._make = make
        self._connections = connections
        self._refusal = refusal
        self._most = most
        self._certificate = certificate
        self._handshake_s = handshake_s
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._leaving: set[socket.socket] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._searched = float("-inf")

    def start(self) -> None:
        self._listening.setblocking(False)
        self._resting = None
        self._loop.add_reader(self._listening, self._accept)

    def close(self) -> None:
        """Take no more; those that are open stay so."""
        if self._resting is None:
            self._loop.remove_reader(self._listening)
        else:
            self._resting.cancel()
        for task in self._opening:
            task.cancel()
        for one in self._leaving:
            one.close()
        self._leaving.clear()

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                one, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                # No descriptor left (EMFILE, ENFILE), or no memory. The socket stays readable, and
                # what waits there waits on: asking again at once would only spin.
                _log.warning("accept_failed", reason=error.strerror)
                self._loop.remove_reader(self._listening)
                self._resting = self._loop.call_later(_REST_S, self.start)
                return
            one.setblocking(False)
            if self._has_room():
                task = self._loop.create_task(self._open(one))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
            else:
                self._refuse(one)

    async def _open(self, one: socket.socket) -> None:
        """Make a connection of a socket, and close it where a handshake fails or takes too long."""
        secured = self._certificate is not None
        try:
            await self._loop.connect_accepted_socket(
                self._make,
                one,
                ssl=self._certificate.context if self._certificate is not None else None,
                ssl_handshake_timeout=self._handshake_s if secured else None,
                ssl_shutdown_timeout=_SHUTDOWN_S if secured else None,
            )
        except OSError:
            one.close()

    def _has_room(self) -> bool:
        if len(self._connections) + len(self._opening) < self._most:
            return True
        now = self._loop.time()
        if now - self._searched < _REST_S:
            return False
        before = now - _SILENT_S
        silent = [one for one in self._connections if one.is_silent_since(before)]
        for one in nsmallest(max(1, self._most // 8), silent, key=lambda one: one.since):
            one.give_way()
        if not silent:
            self._searched = now
        return bool(silent)

    def _refuse(self, one: socket.socket) -> None:
        """Say that there are too many, as far as that can be said without waiting."""
        if self._certificate is not None or len(self._leaving) >= _MOST_LEAVING:
            one.close()
            return
        with suppress(OSError):
            one.send(self._refusal())
            one.shutdown(socket.SHUT_WR)
        # Closed at once, with the request unread, it would be reset, and the answer lost.
        self._leaving.add(one)
        self._loop.call_later(_LEAVE_S, self._leave, one)

    def _leave(self, one: socket.socket) -> None:
        self._leaving.discard(one)
        with suppress(OSError):
            one.recv(65536)
        one.close()


def most_connections(wanted: int) -> int:
    """How many connections may be open, of those wanted, with the files that this process may open.

    Raises the limit of open files as far as the system lets it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY or soft - _RESERVED >= wanted:
        return wanted
    most = max(soft - _RESERVED, soft // 2)
    _log.warning("fewer_connections", wanted=wanted, most=most, open_files=soft)
    return most
