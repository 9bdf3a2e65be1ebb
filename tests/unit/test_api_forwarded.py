"""Whom a request comes from is what our proxies say, and nobody else."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from penstock.api.forwarded import Proxies

OURS = Proxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "203.0.113.9, 192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "203.0.113.9, 192.0.2.7, 10.1.1.1", "192.0.2.7"),
        ("10.0.0.1", "10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ("10.0.0.1", "192.0.2.7:4711", "192.0.2.7"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("fd00::1", "::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:10.0.0.1", "192.0.2.7", "192.0.2.7"),
        # What cannot be read ends the list.
        ("10.0.0.1", "192.0.2.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7, \\r\\n, 10.1.1.1", "10.1.1.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        # Who is not ours may say what he likes.
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("192.0.2.1", "10.0.0.1", "192.0.2.1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_x_forwarded_for_counts_from_its_end(peer: str, forwarded: str, client: str) -> None:
    assert OURS.client(peer, {b"x-forwarded-for": forwarded.encode()}) == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("for=192.0.2.7", "192.0.2.7"),
        ('For="[2001:db8::1]:4711";proto=https', "2001:db8::1"),
        ("proto=https;for=192.0.2.7;by=10.0.0.9, for=10.1.1.1", "192.0.2.7"),
        ("for=203.0.113.9, for=_hidden", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
    ],
)
def test_so_does_forwarded(forwarded: str, client: str) -> None:
    assert OURS.client("10.0.0.1", {b"forwarded": forwarded.encode()}) == client


def test_with_both_x_forwarded_for_counts() -> None:
    headers = {b"forwarded": b"for=198.51.100.1", b"x-forwarded-for": b"192.0.2.7"}
    assert OURS.client("10.0.0.1", headers) == "192.0.2.7"


def test_without_proxies_nothing_counts() -> None:
    assert Proxies([]).client("10.0.0.1", {b"x-forwarded-for": b"192.0.2.7"}) == "10.0.0.1"
