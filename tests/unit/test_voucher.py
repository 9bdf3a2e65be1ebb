"""What one process says to another of a request: for this one, from us, and for now."""

from __future__ import annotations

import pytest
from tests.support.clock import HandClock
from tests.support.house import ADMIN

from penstock.access import Principal, Seen, Vouchers
from penstock.errors import Unauthenticated
from penstock.records.operation import Birth
from penstock.records.receipt import Receipts
from penstock.records.scope import Rate, Scope, Verb

SECRET = b"0123456789abcdef"
REQUEST = b"PUT /v1/collections/c/records/a?ack=applied"


def test_who_is_asking_comes_through_whole() -> None:
    principal = Principal("acme", "k1", (Scope("a-*", (Verb.READ, Verb.WRITE)),), Rate(5.0))
    born, seen = Birth("p0123", "r1"), Seen("c", "c1", 3)
    clock = HandClock()
    text = Vouchers(SECRET, clock).sign(principal, REQUEST, born, seen)
    voucher = Vouchers(SECRET, clock).read(text, REQUEST)
    assert (voucher.principal, voucher.birth, voucher.seen) == (principal, born, seen)


def test_it_counts_for_this_request_only_and_for_no_other_secret_or_purpose() -> None:
    clock = HandClock()
    vouchers = Vouchers(SECRET, clock)
    text = vouchers.sign(ADMIN, REQUEST, None, None)
    for other in (REQUEST[:-1], REQUEST + b"x", REQUEST.replace(b"PUT", b"DELETE"), b""):
        with pytest.raises(Unauthenticated):
            vouchers.read(text, other)
    with pytest.raises(Unauthenticated):
        Vouchers(b"another secret of ours", clock).read(text, REQUEST)
    receipts = Receipts(SECRET)
    sealed_as_receipt = receipts._seal.close(vouchers._seal.open(text))
    with pytest.raises(Unauthenticated):
        vouchers.read(sealed_as_receipt, REQUEST)


@pytest.mark.parametrize(
    ("later_ms", "good"),
    [(0, True), (40_000, True), (40_001, False), (-30_000, True), (-30_001, False)],
)
def test_it_is_good_for_ten_seconds_and_thirty_for_clocks_that_differ(
    later_ms: int, good: bool
) -> None:
    text = Vouchers(SECRET, HandClock(1_000_000)).sign(ADMIN, REQUEST, None, None)
    reader = Vouchers(SECRET, HandClock(1_000_000 + later_ms))
    if good:
        assert reader.read(text, REQUEST).principal == ADMIN
    else:
        with pytest.raises(Unauthenticated):
            reader.read(text, REQUEST)
