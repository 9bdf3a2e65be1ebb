"""SIGKILL at random instants under load: `python -m tests.faults.crash --kills 500`.

Writers, each the only one of its records, put rising numbers one after another, every write under
an Idempotency-Key of its own. The server is killed and started again, over and over. After each
start a writer repeats the write whose answer it did not get, and also some old ones, which must
have no effect any more. In the end, and at every start, each record must hold exactly what its
writer was last told is durable: less is a loss, an older one a doubling or a wrong order.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import apsw
from tests.support.server import Server

RECORDS_EACH = 5
_FILES = ("log.db", "store.db", "catalog.db")


class Put(NamedTuple):
    record_id: str
    number: int
    key: str


class Violation(NamedTuple):
    kind: str
    text: str


class Writer:
    """One client: its records, what it was told, and what it does not know yet."""

    def __init__(self, name: int, seed: int) -> None:
        self.name = name
        self.random = random.Random(seed * 1000 + name)
        self.durable: dict[str, Put] = {}
        self.open: Put | None = None
        self.done: list[Put] = []
        self.versions: dict[str, str] = {}
        self.receipts: dict[str, str] = {}
        self.violations: list[Violation] = []
        self.acknowledged = 0
        self.repeated = 0

    def work(self, url: str, stop: threading.Event) -> None:
        """Until the server is gone or `stop` is set."""
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        try:
            if self.open is not None:
                self._put(connection, self.open)
            while not stop.is_set():
                self._step(connection)
        except (OSError, http.client.HTTPException):
            return  # killed: `open` says what is not known
        finally:
            connection.close()

    def check(self, url: str) -> None:
        """Every record holds exactly what its writer was last told is durable."""
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        if self.open is not None:
            self._put(connection, self.open)
        until = time.monotonic() + 60
        for record_id, put in self.durable.items():
            while not self._read(connection, record_id, put.number):
                assert time.monotonic() < until, "it does not catch up"
        connection.close()

    def _step(self, connection: http.client.HTTPConnection) -> None:
        chance = self.random.random()
        if chance < 0.1 and self.done:
            self._repeat(connection, self.random.choice(self.done[-200:]))
        elif chance < 0.2 and self.durable:
            put = self.random.choice(list(self.durable.values()))
            self._read(connection, put.record_id, put.number)
        else:
            record_id = f"w{self.name}-{self.random.randrange(RECORDS_EACH)}"
            before = self.durable.get(record_id)
            number = before.number + 1 if before else 1
            self._put(connection, Put(record_id, number, f"{record_id}/{number}"))

    def _put(self, connection: http.client.HTTPConnection, put: Put) -> None:
        self.open = put
        status, answer = self._send(connection, put)
        if status != 202:
            raise http.client.HTTPException(f"a put was answered {status}")
        self.acknowledged += 1
        # The receipt of a repetition may be an old one, which promises no more than it did then.
        self.receipts[put.record_id] = answer["receipt"]
        self.durable[put.record_id] = put
        self.done.append(put)
        self.open = None

    def _repeat(self, connection: http.client.HTTPConnection, put: Put) -> None:
        self._send(connection, put)
        self.repeated += 1

    def _send(self, connection: http.client.HTTPConnection, put: Put) -> tuple[int, Any]:
        # The payload belongs to the key: it is the same at each repetition.
        body = json.dumps({"number": put.number, "key": put.key})
        return _ask(connection, "PUT", put.record_id, body, {"Idempotency-Key": put.key})

    def _read(self, connection: http.client.HTTPConnection, record_id: str, number: int) -> bool:
        """Read, and compare; False where the server says that it is behind, which is honest."""
        receipt = self.receipts[record_id]
        status, answer = _ask(connection, "GET", record_id, None, {"Penstock-Receipt": receipt})
        if status == 404:
            self._wrong("lost", f"{record_id}: durable at {number}, and not there")
        elif status == 200:
            self._compare(record_id, number, answer)
        return status != 503

    def _compare(self, record_id: str, number: int, answer: Any) -> None:
        found = answer["data"]["number"]
        if found != number:
            kind = "lost or doubled" if found < number else "out of order"
            self._wrong(kind, f"{record_id}: durable at {number}, found {found}")
        if answer["version"] < self.versions.get(record_id, ""):
            self._wrong("out of order", f"{record_id}: the version went back")
        self.versions[record_id] = answer["version"]

    def _wrong(self, kind: str, text: str) -> None:
        self.violations.append(Violation(kind, text))


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    record_id: str,
    body: str | None,
    headers: dict[str, str],
) -> tuple[int, Any]:
    headers |= {"Authorization": f"Bearer {Server.KEY}", "Content-Type": "application/json"}
    connection.request(method, f"/v1/collections/crash/records/{record_id}", body, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or b"null")


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
    _make_collection(server.url)
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
    count = _listed(server.url)
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


def _make_collection(url: str) -> None:
    headers = {"Authorization": f"Bearer {Server.KEY}", "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)) as connection:
        connection.request("PUT", "/v1/collections/crash", "{}", headers)
        assert connection.getresponse().status == 201


def _listed(url: str) -> int:
    headers = {"Authorization": f"Bearer {Server.KEY}"}
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)) as connection:
        connection.request("GET", "/v1/collections/crash/records?page_size=1000", headers=headers)
        return len(json.loads(connection.getresponse().read())["records"])


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
