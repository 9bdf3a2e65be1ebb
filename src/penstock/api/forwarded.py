"""Whom a request comes from, for the log alone: proxies say it, and only ours are believed.

`X-Forwarded-For` lists clients and proxies, the nearest last, each added by the proxy that it spoke
to; `Forwarded` (RFC 7239) does the same. Whoever sends a request can put anything before that: so
the list is read from its end, for as long as the one who added an entry is one of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from penstock.api.headers import HeaderMap
from penstock.config import Network

_FOR = re.compile(rb'(?:^|;)[ \t]*for=(?:"([^"]*)"|([^;"]*))', re.IGNORECASE).search
_NODE = re.compile(rb"(?:\[([^\]]+)\]|([^:]+))(?::[0-9]{1,5})?").fullmatch


class Proxies:
    """The networks that our proxies are in."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    def client(self, peer: str, headers: HeaderMap) -> str:
        """The address of the client behind a request, as far as those say it whom we trust.

        Args:
            peer: the address at the other end of the connection.
            headers: of the request.
        """
        nearest = _address(peer.encode())
        if nearest is None or not self._ours(nearest):
            return peer
        for node in _nodes(headers):
            address = _address(node)
            if address is None:
                break
            nearest = address
            if not self._ours(nearest):
                break
        return str(nearest)

    def _ours(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)


def _nodes(headers: HeaderMap) -> Iterator[bytes]:
    """Those that the request passed, the nearest first."""
    given = headers.get(b"x-forwarded-for")
    if given is not None:
        yield from reversed(given.split(b","))
        return
    for element in reversed(headers.get(b"forwarded", b"").split(b",")):
        found = _FOR(element)
        yield (found[1] or found[2] or b"") if found else b""


def _address(node: bytes) -> IPv4Address | IPv6Address | None:
    """The address of a node, with or without a port; None for a name, or what is unknown."""
    node = node.strip()
    found = _NODE(node)
    text = node if not found else found[1] or found[2]
    try:
        address = ip_address(text.decode("ascii"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
