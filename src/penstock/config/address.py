"""Addresses that name several hosts, with commas between: `redis+cluster://u:p@a:1,[::1]:2/?…`.

For the standard library a URL has one host: CPython's later security releases refuse a list in
which an IPv6 address is not the first.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_PARTS: Final = re.compile(r"(?:([^:/?#]*)://)?([^/?#]*)(.*)", re.DOTALL).fullmatch


class Address(NamedTuple):
    """An address, taken apart.

    Attributes:
        scheme: what stands before `://`, in lower case; empty where there is no such thing.
        credentials: what stands before the last `@`, with that; percent-escapes as they are.
        hosts: each with its port, where it has one; one that is empty where there are none.
        rest: the path, the query and the fragment.
    """

    scheme: str
    credentials: str
    hosts: list[str]
    rest: str


def taken_apart(text: str) -> Address:
    """The parts of an address; whatever is none has no scheme, or hosts that are none."""
    found = _PARTS(text)
    assert found is not None, "each part may be empty"
    scheme, authority, rest = found.groups()
    credentials, at, hosts = authority.rpartition("@")
    return Address((scheme or "").lower(), credentials + at, hosts.split(","), rest)
