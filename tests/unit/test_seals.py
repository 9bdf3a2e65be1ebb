"""Sealed text opens only as it was closed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Malformed
from penstock.records.position import position
from penstock.records.receipt import Receipt, Receipts
from penstock.records.seal import Seal

SEAL = Seal(b"0123456789abcdef", b"test")
RECEIPT = Receipt("acme", "c1", "r1", "p1", (position(1, 0, 7),), 123)


@given(st.binary(max_size=100))
def test_a_payload_comes_back(payload: bytes) -> None:
    assert SEAL.open(SEAL.close(payload)) == payload


@given(st.binary(max_size=40), st.data())
def test_no_character_can_be_changed_added_or_left_out(payload: bytes, data: st.DataObject) -> None:
    text = SEAL.close(payload)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_=.!\n"))
    for forged in (text[:at] + other + text[at + 1 :], text[:at] + other + text[at:], text[:at]):
        if forged != text:
            with pytest.raises(ValueError, match="seal"):
                SEAL.open(forged)


def test_another_secret_or_purpose_does_not_open_it() -> None:
    text = SEAL.close(b"x")
    for other in (Seal(b"0123456789abcdeF", b"test"), Seal(b"0123456789abcdef", b"tesu")):
        with pytest.raises(ValueError, match="seal"):
            other.open(text)


@pytest.mark.parametrize("text", ["", "é" * 30, "\x00", "A" * 5, "%" * 40])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="seal"):
        SEAL.open(text)


def test_a_receipt_is_read_back_by_its_tenant_only() -> None:
    receipts = Receipts(b"0123456789abcdef")
    text = receipts.sign(RECEIPT)
    assert receipts.read(text, "acme") == RECEIPT
    with pytest.raises(Malformed) as caught:
        receipts.read(text, "other")
    assert caught.value.code == "invalid_receipt"
