"""SIGKILL at random instants under load: `python -m tests.faults.crash --kills 500`.

The server is killed and started again, over and over, while `writers` write and read: at every
start and in the end they say whether anything was lost, doubled or reordered.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import apsw
from tests.faults.writers import Violation, Writer, listed, make_collection
from tests.support.server import Server

_FILES = ("log.db", "store.db", "catalog.db")


class Tally(NamedTuple):
    """What a run came to."""

    kills: int
    acknowledged: int
    repeated: int
    integrity: int
    violations: list[Violation]


def crash(data: Path, kills: int, writers: int, seed: int, *, report: bool = False) -> Tally:
    """Kill and restart `kills` times; everything is checked in between and at the end."""
    chance = random.Random(seed)
    clients = [Writer(number, seed) for number in range(writers)]
    checked = 0
    server = Server(data)
    server.start()
    make_collection(server.url)
    for kill in range(kills):
        _load_and_kill(server, clients, chance.uniform(0.02, 0.5))
        checked += _integrity(data)
        server.start()
        if report and kill % 20 == 19:
            told = sum(client.acknowledged for client in clients)
            wrong = sum(len(client.violations) for client in clients)
            print(f"{kill + 1} kills, {told} acknowledged, {wrong} violations", flush=True)
    for client in clients:
        client.check(server.url)
    count = len(listed(server.url))
    server.stop()
    violations = [one for client in clients for one in client.violations]
    expected = sum(len(client.durable) for client in clients)
    if count != expected:
        violations.append(Violation("doubled", f"{count} records listed, {expected} written"))
    told = sum(client.acknowledged for client in clients)
    return Tally(kills, told, sum(client.repeated for client in clients), checked, violations)


def _load_and_kill(server: Server, clients: list[Writer], seconds: float) -> None:
    stop = threading.Event()
    threads = [threading.Thread(target=client.work, args=(server.url, stop)) for client in clients]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    server.kill()
    stop.set()
    for thread in threads:
        thread.join()


def _integrity(data: Path) -> int:
    for name in _FILES:
        database = apsw.Connection(str(data / name))
        verdict = [row[0] for row in database.execute("PRAGMA integrity_check")]
        database.close()
        if verdict != ["ok"]:
            raise AssertionError(f"{name}: {verdict[:3]}")
    return len(_FILES)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = crash(Path(folder) / "data", chosen.kills, chosen.writers, chosen.seed, report=True)
    print(
        f"{tally.kills} kills; {tally.acknowledged} writes acknowledged, {tally.repeated} repeated;"
        f" integrity_check ok {tally.integrity} times; {len(tally.violations)} violations"
    )
    for violation in tally.violations[:20]:
        print(f"  {violation.kind}: {violation.text}")
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
