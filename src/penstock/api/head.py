"""The head of an answer, as it goes out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from penstock.api.response import Header, Headers, Response

STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_CLOSE: Final = (b"connection", b"close")


def lines(headers: Headers | list[Header]) -> bytes:
    """Headers as they are sent. They are ours, so nothing in them needs to be escaped."""
    return b"\r\n".join([*map(b": ".join, headers), b""])


class Common:
    """The lines of headers that every answer carries, made anew only when they are others."""

    __slots__ = ("_headers", "_lines")

    def __init__(self) -> None:
        self._headers: list[Header] | None = None
        self._lines = b""

    def of(self, headers: list[Header]) -> bytes:
        if self._headers is not headers:
            self._headers, self._lines = headers, lines(headers)
        return self._lines


def whole(common: bytes, answer: Response) -> bytes:
    """An answer, whole; `common`: the header lines that every answer carries."""
    status, headers, body = answer
    length = (b"content-length", b"%d" % len(body))
    return b"%b%b%b\r\n%b" % (STATUS_LINES[status], common, lines((*headers, length)), body)


def closing(common: bytes, answer: Response) -> bytes:
    """An answer, whole, after which the connection is closed."""
    return whole(common, answer._replace(headers=(*answer.headers, _CLOSE)))
