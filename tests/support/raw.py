"""Bytes over a socket, as no decent client would send them, and what comes back."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem; empty for anything else."""
        problem = self.headers.get("content-type") == "application/problem+json"
        return str(self.json["code"]) if problem else ""


class Raw:
    """A connection to a server.

    Args:
        url: of the server.
        context: of TLS, where the server has it.
        timeout: seconds that anything on it may take.
        source: the address that it comes from.
    """

    def __init__(
        self,
        url: str,
        context: ssl.SSLContext | None = None,
        timeout: float = 30,
        source: str = "127.0.0.1",
    ) -> None:
        host, port = urlsplit(url).hostname, urlsplit(url).port
        assert host is not None
        assert port is not None
        self.socket = socket.create_connection((host, port), timeout, (source, 0))
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes, pause_s: float = 0) -> Self:
        """Send piece by piece; a server that listens no more does no harm."""
        with suppress(ConnectionError):
            for piece in pieces:
                self.socket.sendall(piece)
                time.sleep(pause_s)
        return self

    def answer(self, *, head_only: bool = False) -> Answer | None:
        """The next answer; None where the connection ends before it, or in it."""
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        status, *lines = head.decode("latin-1").split("\r\n")
        parts = (line.split(": ", 1) for line in lines if line)
        headers = {name.lower(): value for name, value in parts}
        body: bytes | None = b""
        if not head_only:
            body = self._body(headers)
        return None if body is None else Answer(int(status.split()[1]), headers, body)

    def answers(self) -> list[Answer]:
        """All until the server closes."""
        return list(iter(self.answer, None))

    def part(self, most: int) -> bytes:
        """What has come of the next answer, and is waited for where nothing has: so many bytes."""
        if not self._rest:
            self._receive()
        found, self._rest = self._rest[:most], self._rest[most:]
        return found

    def is_open(self) -> bool:
        """Whether another request is answered on it."""
        self.send(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
        answer = self.answer()
        return answer is not None and answer.status == 200

    def _body(self, headers: dict[str, str]) -> bytes | None:
        if headers.get("transfer-encoding") != "chunked":
            return self._exactly(int(headers.get("content-length", "0")))
        body = b""
        while True:
            size = self._until(b"\r\n")
            chunk = None if size is None else self._exactly(int(size, 16) + 2)
            if chunk is None:
                return None
            if chunk == b"\r\n":
                return body
            body += chunk[:-2]

    def _until(self, end: bytes) -> bytes | None:
        while end not in self._rest:
            if not self._receive():
                return None
        found, _, self._rest = self._rest.partition(end)
        return found

    def _exactly(self, size: int) -> bytes | None:
        while len(self._rest) < size:
            if not self._receive():
                return None
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return False
        self._rest += data
        return bool(data)


def refusal(url: str, *pieces: bytes, pause_s: float = 0) -> tuple[int, str]:
    """Status and code of the one answer, after which the server closes."""
    with Raw(url) as raw:
        (answer,) = raw.send(*pieces, pause_s=pause_s).answers()
    return answer.status, answer.code


def drip(raw: Raw, pieces: Iterable[bytes], every_s: float, most_s: float) -> float:
    """Send a piece at a time until the server closes; the seconds that it had patience."""
    begun = time.monotonic()
    raw.socket.settimeout(every_s)
    for piece in pieces:
        raw.send(piece)
        with suppress(TimeoutError):
            if not raw._receive():
                break
        if time.monotonic() - begun > most_s:
            break
    raw.socket.settimeout(30)
    return time.monotonic() - begun
