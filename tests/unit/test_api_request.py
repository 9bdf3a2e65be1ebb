"""Addresses and query strings, decoded once and strictly."""

from __future__ import annotations

import pytest

from penstock.api.request import query_parameters, segment
from penstock.api.router import Router
from penstock.api.routes import ROUTES
from penstock.errors import Malformed

ROUTER = Router(ROUTES)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"a%2Fb", "a/b"),
        (b"%E2%82%AC", "€"),
        (b"%2541", "%41"),
        (b"a+b", "a+b"),
        (b"..", ".."),
        (b"", ""),
    ],
)
def test_a_segment_is_decoded_once(raw: bytes, text: str) -> None:
    assert segment(raw, "invalid_id") == text


@pytest.mark.parametrize("raw", [b"%", b"a%2", b"%GG", b"%C3", b"%FF", b"%ED%A0%80"])
def test_a_segment_that_is_no_utf8_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        segment(raw, "invalid_id")
    assert refused.value.code == "invalid_id"


def test_query_parameters_are_form_decoded() -> None:
    known = frozenset(("a", "b"))
    assert query_parameters(b"a=1+2&b=%C3%A9", known) == {"a": "1 2", "b": "é"}


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"c=1", "'c'"),
        (b"a=1&a=2", "'a'"),
        (b"a=1&", "''"),
        (b"a=%FF", "UTF-8"),
        (b"%zz=1", "UTF-8"),
    ],
)
def test_query_parameters_that_are_unknown_repeated_or_broken_are_refused(
    raw: bytes, named: str
) -> None:
    with pytest.raises(Malformed) as refused:
        query_parameters(raw, frozenset("a"))
    assert refused.value.code == "invalid_parameter"
    assert named in refused.value.detail


@pytest.mark.parametrize(
    ("method", "path", "name", "arguments"),
    [
        ("GET", b"/v1/collections", "list_collections", []),
        ("PUT", b"/v1/collections/c", "put_collection", [b"c"]),
        ("GET", b"/v1/collections/c/records/a%2Fb", "get_record", [b"c", b"a%2Fb"]),
        ("HEAD", b"/v1/collections/c/records/..", "get_record", [b"c", b".."]),
        ("PUT", b"/v1/collections/records/records/records", "put_record", [b"records"] * 2),
        ("POST", b"/v1/collections/c/records:bulk", "write_records", [b"c"]),
        ("DELETE", b"/v1/collections/c/records/", "delete_record", [b"c", b""]),
        ("GET", b"/livez", "livez", []),
    ],
)
def test_a_route_is_found_by_its_raw_segments(
    method: str, path: bytes, name: str, arguments: list[bytes]
) -> None:
    place, found = ROUTER.find(path)
    assert place is not None
    assert (place.routes[method].name, found) == (name, arguments)


@pytest.mark.parametrize(
    "path",
    [b"", b"/", b"/v1", b"/v2/collections", b"/v1/collections/c/records/a/b", b"/LIVEZ", b"livez"],
)
def test_where_nothing_is_nothing_is_found(path: bytes) -> None:
    assert ROUTER.find(path)[0] is None


def test_an_address_knows_its_methods() -> None:
    place, _ = ROUTER.find(b"/v1/collections/c/records/r")
    assert place is not None
    assert place.methods == ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT")
