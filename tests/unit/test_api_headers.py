"""The headers with a grammar of their own."""

from __future__ import annotations

import pytest

from penstock.api.headers import (
    Conditions,
    adopted_request_id,
    conditions,
    idempotency_key,
    none_match,
    scan,
    wait_seconds,
    wants_fresh,
)
from penstock.errors import Malformed

VERSION = "0001000000000000000000a7"
ETAG = f'"{VERSION}"'.encode()


def test_repeated_headers_are_joined_in_their_order() -> None:
    raw = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    assert scan(raw) == {b"a": b"1, 3", b"b": b"2"}


@pytest.mark.parametrize("given", [b"req-1", b"A.b_c-9", b"x" * 64])
def test_a_plain_request_id_is_adopted(given: bytes) -> None:
    assert adopted_request_id({b"x-request-id": given}) == given.decode()


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 65, b'a"b', b"a\xc3\xa9", b"a, b"])
def test_any_other_request_id_is_not(given: bytes) -> None:
    assert adopted_request_id({b"x-request-id": given}) is None


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (b"abc", "abc"),
        (b'"abc"', "abc"),
        (b'"a, b c"', "a, b c"),
        (rb'"a\"b\\c"', r"a\"b\\c".replace(r"\"", '"').replace(r"\\", "\\")),
        (b"8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (b"k" * 255, "k" * 255),
    ],
)
def test_an_idempotency_key_is_the_same_quoted_or_bare(given: bytes, key: str) -> None:
    assert idempotency_key({b"idempotency-key": given}) == key


@pytest.mark.parametrize(
    "given",
    [b"", b'""', b"a, b", b'"a", "b"', b"k" * 256, b'"' + b"k" * 256 + b'"', b'"open', b"\xe9"],
)
def test_what_is_no_idempotency_key_is_refused(given: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        idempotency_key({b"idempotency-key": given})
    assert refused.value.code == "invalid_header"


@pytest.mark.parametrize(
    ("headers", "meant"),
    [
        ({}, Conditions(None, if_absent=False)),
        ({b"if-match": ETAG}, Conditions(VERSION, if_absent=False)),
        ({b"if-match": b"*"}, Conditions("*", if_absent=False)),
        ({b"if-none-match": b"*"}, Conditions(None, if_absent=True)),
        ({b"if-none-match": b"*", b"if-match": b"*"}, Conditions("*", if_absent=True)),
    ],
)
def test_the_preconditions_of_a_write(headers: dict[bytes, bytes], meant: Conditions) -> None:
    assert conditions(headers) == meant


@pytest.mark.parametrize(
    "headers",
    [
        {b"if-match": b"W/" + ETAG},
        {b"if-match": ETAG + b", " + ETAG},
        {b"if-match": VERSION.encode()},
        {b"if-match": b'""'},
        {b"if-none-match": ETAG},
        {b"if-none-match": b"*", b"if-match": VERSION.encode()},
    ],
)
def test_preconditions_that_a_write_cannot_mean_are_refused(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(Malformed) as refused:
        conditions(headers)
    assert refused.value.code == "invalid_header"


@pytest.mark.parametrize("given", [ETAG, b"W/" + ETAG, b"*", b'"a", ' + ETAG, b'W/"a",W/' + ETAG])
def test_a_reader_that_has_the_version_is_told_so(given: bytes) -> None:
    assert none_match({b"if-none-match": given}, ETAG)


@pytest.mark.parametrize("given", [b'"a"', VERSION.encode(), b'"a", "b"', b""])
def test_a_reader_that_has_another_version_gets_the_record(given: bytes) -> None:
    assert not none_match({b"if-none-match": given}, ETAG)


@pytest.mark.parametrize(
    ("given", "fresh"),
    [
        (b"no-cache", True),
        (b"max-age=0, No-Cache", True),
        (b"no-store", True),
        (b"max-age=9", False),
    ],
)
def test_a_reader_may_go_past_the_cache(given: bytes, fresh: bool) -> None:
    assert wants_fresh({b"cache-control": given}) is fresh


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (b"wait", float("inf")),
        (b"wait=3", 3.0),
        (b"Wait = 10", 10.0),
        (b'wait="2"', 2.0),
        (b"respond-async, wait=1", 1.0),
        (b"return=minimal", None),
        (b"wait=soon", None),
        (b"waiting", None),
    ],
)
def test_prefer_wait_says_how_long(given: bytes, seconds: float | None) -> None:
    assert wait_seconds({b"prefer": given}) == seconds
