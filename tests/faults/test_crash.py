"""The short form of `make crash`."""

from __future__ import annotations

from pathlib import Path

from tests.faults.crash import crash


def test_nothing_acknowledged_is_lost_doubled_or_reordered_by_kills(tmp_path: Path) -> None:
    tally = crash(tmp_path / "data", kills=12, writers=6, seed=7)
    assert tally.violations == []
    assert tally.acknowledged > 100
    assert tally.repeated > 10
    assert tally.integrity == 36
