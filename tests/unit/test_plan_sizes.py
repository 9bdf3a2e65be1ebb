"""`penstock plan`: figures worked out by hand, and what it takes and refuses."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.cli.plan import figure
from penstock.cli.sizing import Demand, Line, plan

BILLION = Demand(records=1_000_000_000, writes=20_000, reads=50_000, size=300)


def _value(demand: Demand, part: str, what: str) -> float:
    (found,) = (one for one in plan(demand) if (one.part, one.what) == (part, what))
    return found.value


def test_a_billion_records_as_worked_out_by_hand() -> None:
    # 20,000 / 8,438 + 50,000 / 18,042 = 2.370 + 2.771 cores, 65 % busy: 7.9.
    assert _value(BILLION, "serving", "cores") == 8
    # 10,000 / 34,437 + 10,000 / 26,911 = 0.662 cores, 65 % busy: 1.02.
    assert _value(BILLION, "worker", "cores") == 2
    assert _value(BILLION, "log", "partitions") == 12
    # A day of 20,000 entries of 249 bytes, thrice: 1,290.8 GB on disks 70 % full.
    assert _value(BILLION, "log", "disk, all brokers") == pytest.approx(1717.3, abs=0.5)
    # 253 bytes of indexes and 54.7 of hot documents: 307.7 GB, half of a memory of 573 GiB.
    assert _value(BILLION, "store", "shards, of 3 members") == 5
    assert _value(BILLION, "store", "memory of a member") == pytest.approx(573.1 / 5, abs=0.1)
    # 309 + 253 bytes: 562 GB on disks 70 % full, a fifth of it each.
    assert _value(BILLION, "store", "disk of a member") == pytest.approx(747.7 / 5, abs=0.1)
    # A hundred million of 794 bytes, twice, in memories 70 % full.
    assert _value(BILLION, "cache", "memory, a replica included") == pytest.approx(211.3, abs=0.1)


def test_partitions_come_in_twelves_four_to_a_worker() -> None:
    busy = BILLION._replace(writes=200_000)
    # 100,000 / 34,437 + 100,000 / 26,911 = 6.62 cores, 65 % busy: 10.2, so 11, and 44 partitions.
    assert _value(busy, "worker", "cores") == 11
    assert _value(busy, "log", "partitions") == 48


def test_ten_times_the_records_take_ten_times_the_store_and_no_more_processes() -> None:
    larger = BILLION._replace(records=10_000_000_000)
    assert _value(larger, "serving", "cores") == _value(BILLION, "serving", "cores")
    for what in ("disk of a member", "memory of a member"):
        of_all = _value(larger, "store", what) * _value(larger, "store", "shards, of 3 members")
        before = _value(BILLION, "store", what) * _value(BILLION, "store", "shards, of 3 members")
        assert of_all == pytest.approx(10 * before)


@pytest.mark.parametrize("text", ["10G", "10_000_000_000", "10,000,000,000", "10000M"])
def test_numbers_may_have_units(text: str) -> None:
    told = _told("--records", text, "--rate", "1k", "--size", "300", "--json")
    lines = [json.loads(line) for line in told.splitlines()]
    assert [one["value"] for one in lines] == pytest.approx(
        [one.value for one in plan(Demand(10**10, 1000, 1000, 300))]
    )


def test_each_figure_comes_with_its_formula() -> None:
    told = _told("--records", "1M", "--rate", "100", "--size", "300", "--reads", "0")
    assert "log: partitions: 12  = 4 * workers, in twelves, at least 12\n" in told
    assert all("  = " in line for line in told.splitlines())


@pytest.mark.parametrize("records", ["", "many", "-1", "1T", "1e9", "NaN"])
def test_what_is_no_number_is_refused(records: str) -> None:
    given = ["plan", "--records", records, "--rate", "1", "--size", "300"]
    assert CliRunner().invoke(app, given).exit_code == 2


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(12, "", "12"), (1717.3, "GiB", "1,717 GiB"), (0.5731, "GiB", "0.57 GiB")],
)
def test_figures_have_no_more_digits_than_they_are_worth(
    value: float, unit: str, shown: str
) -> None:
    assert figure(Line("", "", value, unit, "")) == shown


def _told(*options: str) -> str:
    result = CliRunner().invoke(app, ["plan", *options])
    assert result.exit_code == 0, result.output
    return result.stdout
