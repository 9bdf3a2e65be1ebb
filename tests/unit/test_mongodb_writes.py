"""How states are divided into commands."""

from __future__ import annotations

import pytest
from tests.contract.stores import state

from penstock.adapters.mongodb.writes import _parts

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([10], [1]),
        ([10] * 500, [500]),
        ([10] * 501, [500, 1]),
        ([10] * 1200, [500, 500, 200]),
        ([MIB, MIB], [1, 1]),
        ([MIB // 2, MIB // 2, 1], [2, 1]),
        ([1, MIB, 1], [1, 1, 1]),
        ([2 * MIB, 1], [1, 1]),
    ],
)
def test_a_command_has_no_more_states_or_bytes_than_fit(
    sizes: list[int], expected: list[int]
) -> None:
    states = [state(f"r{place}", 1, b"1" * size) for place, size in enumerate(sizes)]
    parts = list(_parts(states))
    assert [len(part) for part in parts] == expected
    assert [one for part in parts for one in part] == states


def test_states_without_data_take_no_room() -> None:
    states = [state(f"r{place}", 1, None) for place in range(3)]
    assert list(_parts([*states, state("r", 1, b"1" * MIB)])) == [
        [*states, state("r", 1, b"1" * MIB)]
    ]
