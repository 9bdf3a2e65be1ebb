"""Request headers: scanned once, and the few that have a grammar of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from penstock.errors import Malformed

HeaderMap = Mapping[bytes, bytes]

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
_STRONG_TAG: Final = re.compile(rb'"([\x21\x23-\x7e]{1,64})"').fullmatch
_QUOTED: Final = re.compile(rb'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"').fullmatch
_BARE: Final = re.compile(rb"[\x21\x23-\x2b\x2d-\x7e]+").fullmatch
_ESCAPE: Final = re.compile(r'\\(["\\])')
_WAIT: Final = re.compile(rb"wait(?:\s*=\s*\"?([0-9]{1,9})\"?)?", re.IGNORECASE).fullmatch
_MOST_KEY: Final = 255
_MILLISECONDS: Final = re.compile(rb"[1-9][0-9]{0,8}").fullmatch


class Conditions(NamedTuple):
    """The preconditions of a write: a version or "*" it must be at; whether it must be absent."""

    if_match: str | None
    if_absent: bool


NO_CONDITIONS: Final = Conditions(None, if_absent=False)


def scan(raw: Sequence[tuple[bytes, bytes]]) -> HeaderMap:
    """The headers by lower-case name; repeated ones joined by a comma (RFC 9110, section 5.3)."""
    headers = dict(raw)
    if len(headers) != len(raw):
        headers = {}
        for name, value in raw:
            headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def adopted_request_id(headers: HeaderMap) -> str | None:
    """The caller's X-Request-Id, if it is one that may stand in our log."""
    given = headers.get(b"x-request-id")
    return given.decode() if given is not None and _REQUEST_ID(given) else None


def idempotency_key(headers: HeaderMap) -> str | None:
    """The Idempotency-Key, as a structured-field string (RFC 9651) or bare.

    A bare one has no comma, quote or space: two header lines joined are no key. Raises `Malformed`.
    """
    given = headers.get(b"idempotency-key")
    if given is None:
        return None
    quoted = _QUOTED(given)
    if quoted:
        key = _ESCAPE.sub(r"\1", quoted[1].decode())
    elif _BARE(given):
        key = given.decode()
    else:
        key = ""
    if not 0 < len(key) <= _MOST_KEY:
        detail = f"An Idempotency-Key is 1 to {_MOST_KEY} printable ASCII characters."
        raise Malformed("invalid_header", detail)
    return key


def conditions(headers: HeaderMap) -> Conditions:
    """If-Match and If-None-Match of a write. Raises `Malformed` for what a write cannot mean."""
    match, none_match = headers.get(b"if-match"), headers.get(b"if-none-match")
    if match is None and none_match is None:
        return NO_CONDITIONS
    if none_match not in (None, b"*"):
        raise Malformed("invalid_header", "If-None-Match of a write is * only.")
    return Conditions(None if match is None else _match(match), none_match is not None)


def none_match(headers: HeaderMap, etag: bytes) -> bool:
    """Whether If-None-Match of a read names this ETag (weak comparison): then nothing has changed.

    Our ETags have no comma in them, so splitting at commas cannot make one up.
    """
    given = headers.get(b"if-none-match")
    if given is None:
        return False
    if given in (etag, b"*"):
        return True
    return any(one.strip().removeprefix(b"W/") == etag for one in given.split(b","))


def wants_fresh(headers: HeaderMap) -> bool:
    """Whether Cache-Control of a read asks to go past the cache."""
    given = headers.get(b"cache-control")
    if given is None:
        return False
    return any(one.strip().lower() in (b"no-cache", b"no-store") for one in given.split(b","))


def wait_seconds(headers: HeaderMap) -> float | None:
    """How long `Prefer: wait` or `wait=N` (RFC 7240) would wait; None where it is not asked for.

    Preferences that are unknown or malformed are ignored, as section 2 there has it.
    """
    given = headers.get(b"prefer")
    if given is None:
        return None
    for preference in given.split(b","):
        found = _WAIT(preference.split(b";")[0].strip())
        if found:
            return float("inf") if found[1] is None else float(found[1])
    return None


def timeout_ms(given: bytes, most: int) -> int:
    """What Penstock-Timeout asks for. Raises `Malformed`."""
    if not _MILLISECONDS(given) or int(given) > most:
        detail = f"Penstock-Timeout is a whole number of milliseconds from 1 to {most}."
        raise Malformed("invalid_header", detail)
    return int(given)


def _match(given: bytes) -> str:
    if given == b"*":
        return "*"
    tag = _STRONG_TAG(given)
    if not tag:
        raise Malformed("invalid_header", 'If-Match is one strong ETag ("…"), or *.')
    return tag[1].decode()
