"""Field names in MongoDB: what is escaped, and that it comes back."""

from __future__ import annotations

from typing import Any

import bson
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.adapters.mongodb.names import escape, needs_unescape, unescape
from penstock.records.document import encode

NAMES = st.text(st.sampled_from('$\uff04.a"\\\u00e9'), max_size=4)
read_back = msgspec.json.Encoder(enc_hook=int).encode
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
    | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
)  # fmt: skip


def names(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(name for item in value.values() for name in names(item))]
    return [name for item in value for name in names(item)] if isinstance(value, list) else []


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"a": "$b", "c.d": [], "": 1}, {"a": "$b", "c.d": [], "": 1}),
        ({"$ref": "x", "$id": 1}, {"\uff04$ref": "x", "\uff04$id": 1}),
        ({"a": [{"$": {"$$": 1}}]}, {"a": [{"\uff04$": {"\uff04$$": 1}}]}),
        ({"\uff04a": 1, "a$": 2}, {"\uff04\uff04a": 1, "a$": 2}),
        ({"\uff04$a": 1, "$a": 2}, {"\uff04\uff04$a": 1, "\uff04$a": 2}),
    ],
)
def test_names_that_begin_with_a_dollar_sign_are_escaped(value: Any, stored: Any) -> None:
    assert escape(value, encode(value)) == stored
    assert unescape(stored) == value


@given(VALUES)
def test_what_is_escaped_comes_back(value: Any) -> None:
    text = encode(value)
    stored = bson.decode(bson.encode({"data": escape(value, text)}))["data"]
    assert not any(name.startswith("$") for name in names(stored))
    read = read_back(stored)
    assert (read_back(unescape(stored)) if needs_unescape(read) else read) == text
