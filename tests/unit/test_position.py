"""Positions: their text order is log order, and what a reach reflects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.records.position import (
    Partition,
    Parts,
    parse,
    partition_for,
    position,
    prefix,
    reaches,
)

PARTS = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 2**63 - 1)).map(
    lambda parts: Parts(*parts)
)


@given(PARTS, PARTS)
def test_text_order_is_the_order_of_the_parts(one: Parts, other: Parts) -> None:
    assert (position(*one) < position(*other)) == (one < other)


@given(PARTS)
def test_a_position_is_its_prefix_and_its_offset_and_is_read_back(parts: Parts) -> None:
    text = position(*parts)
    assert text == prefix(parts.generation, parts.partition) + f"{parts.offset:016x}"
    assert len(text) == 24
    assert parse(text) == parts


@pytest.mark.parametrize("text", ["", "0" * 23, "0" * 25, "g" * 24, "A" * 24, "0" * 23 + "é"])
def test_what_is_not_a_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"position|hexadecimal"):
        parse(text)


def test_a_reach_reflects_what_is_at_or_below_it_in_its_own_partition() -> None:
    reach = {Partition(1, 0): position(1, 0, 5)}
    assert reaches(reach, position(1, 0, 5))
    assert not reaches(reach, position(1, 0, 6))
    assert not reaches(reach, position(1, 1, 0))


def test_a_later_generation_is_begun_only_when_the_earlier_is_applied() -> None:
    reach = {Partition(2, 0): position(2, 0, 0)}
    assert reaches(reach, position(1, 7, 10**9))
    assert not reaches(reach, position(3, 0, 0))


def test_the_partition_is_the_crc_32_of_the_key_modulo_the_count() -> None:
    check_value = 0xCBF43926  # of CRC-32/ISO-HDLC, for this text
    assert partition_for("123456789", 2**32) == check_value
    assert partition_for("123456789", 12) == check_value % 12
