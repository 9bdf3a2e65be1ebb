"""Clients that know what has to be there, whatever happens meanwhile.

Writers, each the only one of its records, put rising numbers one after another, every write under
an Idempotency-Key of its own. Where an answer does not come, or is an error, the writer repeats
that write; it also repeats some old ones, which must have no effect any more. In the end, and at
every look, each record must hold exactly what its writer was last told is durable: less is a loss,
an older one a doubling or a wrong order.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from tests.support.server import Server

RECORDS_EACH = 5
_AGAIN_S = 0.05
_SETTLED_S = 60
_PATIENCE_S = 30
"""Longer than any deadline: what was not answered by then never will be."""


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
        self.longest_wait = 0.0
        self.failures: list[str] = []
        """Requests that were not answered as asked; nobody listening is no failure of a request."""
        self._asked = 0.0

    def work(self, url: str, stop: threading.Event) -> None:
        """Until the server is gone, or closes behind an answer, or `stop` is set."""
        # Killed: `open` says what is not known.
        try:
            with _connected(url) as connection:
                if self.open is not None:
                    self._put(connection, self.open)
                while not stop.is_set():
                    self._step(connection)
                    if connection.sock is None:
                        return
        except ConnectionRefusedError:
            return
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(repr(error))

    def go_on(self, urls: Sequence[str], stop: threading.Event) -> None:
        """The same, over all that goes wrong, until `stop` is set.

        As behind a load balancer: each new connection goes to the next address that is ready.
        """
        place = self.name
        while not stop.is_set():
            url = urls[place % len(urls)]
            if len(urls) == 1 or _is_ready(url):
                failed = len(self.failures)
                self.work(url, stop)
                if len(self.failures) == failed:
                    continue
            place += 1
            stop.wait(_AGAIN_S)

    def reset(self) -> None:
        """Forget how long acknowledgements took to come, and what failed."""
        self.longest_wait = 0.0
        self.failures.clear()

    def check(self, url: str) -> None:
        """Every record holds exactly what its writer was last told is durable."""
        until = time.monotonic() + _SETTLED_S
        while self.open is not None:
            self.work(url, _stopped())
            assert time.monotonic() < until, "writes are not taken"
        with _connected(url) as connection:
            for record_id, put in self.durable.items():
                while not self._read(connection, record_id, put.number):
                    assert time.monotonic() < until, "it does not catch up"

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
        if self.open is None:
            self._asked = time.monotonic()
        self.open = put
        status, answer = self._send(connection, put)
        if status != 202:
            raise http.client.HTTPException(f"a put was answered {status} {answer.get('code')}")
        self.acknowledged += 1
        self.longest_wait = max(self.longest_wait, time.monotonic() - self._asked)
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
        else:
            self.failures.append(f"a read was answered {status} {answer.get('code')}")
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


def _is_ready(url: str) -> bool:
    with suppress(OSError, http.client.HTTPException), _connected(url) as connection:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


def _connected(url: str) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE_S))


def make_collection(url: str) -> None:
    """Make sure that it is there: the first of a database may take longer than a deadline."""
    headers = {"Authorization": f"Bearer {Server.KEY}", "Content-Type": "application/json"}
    until = time.monotonic() + _PATIENCE_S
    status = 503
    while status == 503 and time.monotonic() < until:
        with _connected(url) as connection:
            connection.request("PUT", "/v1/collections/crash", "{}", headers)
            status = connection.getresponse().status
    assert status in (200, 201)


def listed(url: str) -> list[Any]:
    """The records, as the first page has them."""
    headers = {"Authorization": f"Bearer {Server.KEY}"}
    with _connected(url) as connection:
        connection.request("GET", "/v1/collections/crash/records?page_size=1000", headers=headers)
        records: list[Any] = json.loads(connection.getresponse().read())["records"]
        return records


class Load:
    """Writers at work while it is entered, spread over addresses; `check` afterwards."""

    def __init__(self, urls: Sequence[str], writers: int = 8, seed: int = 1) -> None:
        make_collection(urls[0])
        self._urls = urls
        self.writers = [Writer(number, seed) for number in range(writers)]
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._stop.clear()
        self._threads = [
            threading.Thread(target=one.go_on, args=(self._urls, self._stop))
            for one in self.writers
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def acknowledged(self) -> int:
        return sum(one.acknowledged for one in self.writers)

    @property
    def longest_wait(self) -> float:
        """The longest that a write took to be acknowledged since `reset`, repeated or not, in s."""
        return max(one.longest_wait for one in self.writers)

    @property
    def failures(self) -> list[str]:
        """What was not answered as asked, of all writers."""
        return [failure for one in self.writers for failure in one.failures]

    def reset(self) -> None:
        for one in self.writers:
            one.reset()

    def go_on_for(self, writes: int) -> None:
        """Return when so many more are acknowledged."""
        goal, until = self.acknowledged + writes, time.monotonic() + _SETTLED_S
        while self.acknowledged < goal:
            assert time.monotonic() < until, "writes are not taken"
            time.sleep(_AGAIN_S)

    def check(self) -> None:
        """After it was left: everything is there, once, and in order."""
        url = self._urls[0]
        for one in self.writers:
            one.check(url)
        wrong = [wrong for one in self.writers for wrong in one.violations]
        assert not wrong, wrong[:20]
        assert len(self.records()) == sum(len(one.durable) for one in self.writers)

    def records(self) -> list[Any]:
        """All that there are, as they are listed."""
        return listed(self._urls[0])


def _stopped() -> threading.Event:
    event = threading.Event()
    event.set()
    return event
