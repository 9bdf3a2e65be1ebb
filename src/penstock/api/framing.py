"""What llhttp lets pass, and what two servers on the way could read differently.

Requests are smuggled where a proxy and we disagree on where a request ends, or on whom it is for
(RFC 9112, section 11.2). llhttp refuses most such shapes by itself: both Content-Length and
Transfer-Encoding, bare line feeds, folded headers, blanks before a colon. This is the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from penstock.api.response import Header
from penstock.api.route import METHODS
from penstock.errors import Malformed, MethodNotAllowed

MOST_FRAMING_BYTES: Final = 64 * 1024
"""What may come between the bytes of a body and behind it: chunk sizes, extensions, trailers."""
FRAMING_PER_BYTE: Final = 8
"""And as much again for each byte of the body: a chunk of one byte takes six."""

_MOST_DIGITS: Final = 19
_ONCE: Final = (b"host", b"content-length", b"transfer-encoding")
_HOST: Final = re.compile(
    rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
).fullmatch
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#@]+)([^?#]*)(\?[^#]*)?").fullmatch
_UNKNOWN: Final = re.compile(
    rb"(?:\r\n)*([A-Z][A-Z0-9-]{0,31}) (/[!-\"$-~]*) HTTP/1\.[01]\r\n"
).match
_NO_TRAILERS: Final = re.compile(
    rb"(?:content|if|penstock|proxy|x-forwarded)-.*|authorization|cache-control|connection|cookie"
    rb"|expect|forwarded|host|idempotency-key|keep-alive|origin|prefer|range|te|trailer"
    rb"|transfer-encoding|upgrade|x-request-id",
    re.IGNORECASE | re.DOTALL,
).fullmatch


def check_headers(headers: Sequence[Header], by_name: Mapping[bytes, bytes]) -> None:
    """Raise `Malformed` for headers that are read in more ways than one.

    Args:
        headers: by names in lower case, as they came.
        by_name: the same; of repeated ones the last.
    """
    if len(by_name) != len(headers):
        names = Counter(name for name, _ in headers)
        if any(names[name] > 1 for name in _ONCE):
            raise malformed("Host, Content-Length and Transfer-Encoding come once each.")
    if b"transfer-encoding" in by_name and _bare(by_name[b"transfer-encoding"]) != b"chunked":
        raise malformed("The only Transfer-Encoding taken here is chunked.")
    if len(by_name.get(b"content-length", b"")) > _MOST_DIGITS:
        raise malformed("No Content-Length has so many digits.")


def check_host(host: bytes | None) -> None:
    """Raise `Malformed` where there is no Host, or one that cannot be."""
    if host is None or not _HOST(_bare(host)):
        raise malformed("A request has a Host header: a name, and a port if need be.")


def path_of(method: bytes, target: bytes, host: bytes | None) -> bytes:
    """Path and query of a target that is no path, or `*` (RFC 9112, section 3.2).

    Raises `Malformed`; `MethodNotAllowed` for CONNECT.
    """
    if method == b"CONNECT":
        raise MethodNotAllowed(METHODS)
    if target == b"*" and method == b"OPTIONS":
        return target
    url = _ABSOLUTE(target)
    if not url:
        raise malformed("A target is a path, or an http URL, in ASCII and without a fragment.")
    if host is not None and url[1].lower() != _bare(host):
        raise malformed("The target names one host, and Host another.")
    return (url[2] or b"/") + (url[3] or b"")


def check_trailers(trailers: Sequence[Header]) -> None:
    """Raise `Malformed` for one that would mean something as a header. Others go unread."""
    if any(_NO_TRAILERS(name) for name, _ in trailers):
        raise malformed("Such a header does not come behind the body.")


def unknown_method(data: bytes) -> bytes | None:
    """The target of a request whose method llhttp does not know; None if it is no request."""
    found = _UNKNOWN(data)
    return found[2] if found and found[1].decode() not in METHODS else None


def _bare(value: bytes) -> bytes:
    """In lower case, and without the blanks behind it, which llhttp leaves there."""
    return value.rstrip(b" \t").lower()


def malformed(detail: str) -> Malformed:
    return Malformed("malformed_request", detail)
