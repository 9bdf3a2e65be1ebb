"""Strict decoding: each thing that a record cannot hold is refused, at the right place."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Fault, Malformed
from penstock.records.document import (
    MAX_DEPTH,
    MAX_NAMES,
    decode,
    encode,
    suspicious_lines,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def refused(text: bytes, member: str | None = None) -> Malformed:
    with pytest.raises(Malformed) as caught:
        decode(text, member)
    return caught.value


@given(JSON)
def test_what_is_allowed_comes_back_as_the_standard_library_reads_it(value: Any) -> None:
    text = json.dumps(value)
    assert decode(text.encode()) == json.loads(text)


@given(JSON)
def test_the_canonical_form_is_its_own_canonical_form(value: Any) -> None:
    once = encode(decode(json.dumps(value).encode()))
    assert encode(decode(once)) == once
    assert json.loads(once) == value


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        (b'{"a":1} x', 8),
        (b'{"a":1}{"b":2}', 7),
        (b'{"a":NaN}', 5),
        (b'{"a":Infinity}', 5),
        (b'{"a":-Infinity}', 6),
        (b'{"a":01}', 6),
        (b"{'a':1}", 1),
        (b'{"a":1,}', 7),
        (b'{"a"', 4),
        (b"", 0),
    ],
)
def test_what_is_not_json_is_refused_at_its_byte(text: bytes, offset: int) -> None:
    error = refused(text)
    assert error.code == "malformed_json"
    assert f"at byte {offset}" in error.detail


def test_a_byte_order_mark_is_refused() -> None:
    assert "byte order mark" in refused(b'\xef\xbb\xbf{"a":1}').detail


@pytest.mark.parametrize("text", [b'{"a":"\xff"}', b'{"a":"\xc0\xaf"}', b'{"a":"\xed\xa0\x80"}'])
def test_invalid_utf8_is_refused(text: bytes) -> None:
    assert refused(text).code == "malformed_json"


@pytest.mark.parametrize("text", [rb'{"a":"\ud800"}', rb'{"a":"\udc00x"}', rb'{"\ud800":1}'])
def test_lone_surrogates_are_refused(text: bytes) -> None:
    assert refused(text).code == "malformed_json"


@pytest.mark.parametrize("text", [b'{"a":1,"a":2}', b'{"x":[{"a":1,"b":2,"a":3}]}'])
def test_a_name_twice_in_one_object_is_refused_at_any_depth(text: bytes) -> None:
    error = refused(text)
    assert error.code == "malformed_json"
    assert "stands twice" in error.detail


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 310 + ".0", "9" * 250 + "e99"])
def test_numbers_beyond_a_double_are_refused_with_a_pointer(number: str) -> None:
    error = refused(f'{{"a":[0,{number}]}}'.encode())
    assert error.code == "invalid_record"
    assert error.faults == (Fault("/a/1", "The number is beyond the range of a double."),)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**30])
def test_integers_outside_signed_64_bit_are_refused_with_a_pointer(number: int) -> None:
    error = refused(f'{{"a/b":{{"~":{number}}}}}'.encode())
    assert error.faults == (Fault("/a~1b/~0", "The integer is outside signed 64-bit."),)


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 1e308, 5e-324])
def test_numbers_at_the_edge_are_kept(number: float) -> None:
    assert decode(json.dumps({"a": number}).encode()) == {"a": number}
    assert msgspec.json.decode(encode({"a": number})) == {"a": number}


def test_a_nul_in_a_name_is_refused_and_in_a_value_is_kept() -> None:
    assert refused(rb'{"a\u0000b":1}').code == "invalid_record"
    assert decode(rb'{"a":"\u0000"}') == {"a": "\x00"}


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


def test_nesting_is_bounded() -> None:
    decode(nested(MAX_DEPTH))
    assert refused(nested(MAX_DEPTH + 1)).code == "invalid_record"
    assert refused(nested(5000)).code == "invalid_record"
    assert refused(b"[" * 100_000).code == "invalid_record"


def test_a_record_may_be_as_deep_in_a_bulk_as_by_itself() -> None:
    decode(b'{"data":' + nested(MAX_DEPTH) + b"}", "data")
    assert refused(b'{"data":' + nested(MAX_DEPTH + 1) + b"}", "data").code == "invalid_record"


def test_many_brackets_in_strings_are_no_nesting() -> None:
    assert decode(json.dumps({"a": "[{" * 500}).encode()) == {"a": "[{" * 500}


def test_the_number_of_names_is_bounded() -> None:
    decode(json.dumps({str(n): n for n in range(MAX_NAMES)}).encode())
    assert refused(json.dumps({str(n): n for n in range(MAX_NAMES + 1)}).encode()).code == (
        "invalid_record"
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_survives_the_canonical_form(number: float) -> None:
    (back,) = msgspec.json.decode(encode(decode(json.dumps([number]).encode())))
    assert back == number
    assert math.copysign(1, back) == math.copysign(1, number)


LINES = [
    b'{"id":"00e12345","data":{"a":1}}',
    b'{"data":{"a":1e400}}',
    b'{"data":{"a":"1e400"}}',
    b'{"data":{"a":1767225600000000000}}',
    b'{"data":{"a":9999999999999999999}}',
    b'{"data":' + nested(MAX_DEPTH + 1) + b"}",
    b'{"data":{"a":"' + b"{" * 100 + b'"}}',
]


def test_lines_are_told_apart_together_as_one_by_one() -> None:
    def verdict(line: bytes, *, suspicious: bool) -> Any:
        try:
            return decode(line, "data", suspicious=suspicious)
        except Malformed as error:
            return error.faults

    together = [
        verdict(line, suspicious=one)
        for line, one in zip(LINES, suspicious_lines(LINES), strict=True)
    ]
    assert together == [verdict(line, suspicious=True) for line in LINES]
    assert [isinstance(one, dict) for one in together] == [
        True, False, True, True, False, False, True,
    ]  # fmt: skip
    assert suspicious_lines([b'{"data":{"a":1.5,"b":[1,2]}}', b""]) == [False, False]
