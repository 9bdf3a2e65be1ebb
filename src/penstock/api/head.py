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
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def whole(common: bytes, answer: Response) -> bytes:
    """An answer, whole; `common`: the header lines that every answer carries."""
    status, headers, body = answer
    length = (b"content-length", b"%d" % len(body))
    return b"%b%b%b\r\n%b" % (STATUS_LINES[status], common, lines((*headers, length)), body)


def closing(common: bytes, answer: Response) -> bytes:
    """An answer, whole, after which the connection is closed."""
    return whole(common, answer._replace(headers=(*answer.headers, _CLOSE)))
