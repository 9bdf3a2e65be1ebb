"""A storm of clients that leave amidst their answers: whatever arrives is the asker's own."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
from tests.support.asking import Caller
from tests.support.raw import Raw
from tests.support.server import Server

TENANTS: Final = 3
CLIENTS: Final = 40
"""Of each tenant: there are records of the same ids in each."""
RECORDS: Final = 6
ROUNDS: Final = 5
PADDING: Final = "x" * 2000
PATH: Final = "/v1/collections/c/records"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("storm") / "data")
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def keys(server: Server) -> list[str]:
    """One of each tenant, whose records are written and applied."""
    ask = Caller(server)
    scopes = [{"collections": "*", "verbs": ["read", "write", "admin"]}]
    made = []
    for tenant in range(TENANTS):
        body = {"tenant": f"storm-{tenant}", "name": "k", "scopes": scopes}
        content = {"Content-Type": "application/json"}
        key = ask("POST", "/v1/keys", json.dumps(body).encode(), content).json["key"]
        own = {"Authorization": f"Bearer {key}"}
        assert ask.put("/v1/collections/c", {}, **own).status == 201
        lines = [
            {"id": f"{client}-{number}", "data": {"owner": [tenant, client], "padding": PADDING}}
            for client in range(CLIENTS)
            for number in range(RECORDS)
        ]
        last = ask.bulk("c", b"".join(json.dumps(one).encode() + b"\n" for one in lines), **own)
        receipt = {"Penstock-Receipt": last.lines[-1]["receipt"]}
        assert ask("GET", f"{PATH}?page_size=1", None, own | receipt).status == 200
        made.append(key)
    return made


class Reader:
    """A client that asks for its own records, several at once, and often leaves before the end."""

    def __init__(self, server: Server, key: str, tenant: int, client: int) -> None:
        self._url = server.url
        self._key = key
        self._owner = [tenant, client]
        self._chance = random.Random(tenant * CLIENTS + client)
        self.answered = 0

    def run(self) -> int:
        """How many whole answers came, over all rounds."""
        for _ in range(ROUNDS):
            self._ask_and_leave()
        return self.answered

    def _ask_and_leave(self) -> None:
        asked = [self._question() for _ in range(self._chance.randint(1, 8))]
        with Raw(self._url) as raw:
            raw.send(b"".join(request for request, _, _ in asked))
            read = self._chance.randint(0, len(asked))
            for _, request_id, ids in asked[:read]:
                answer = raw.answer()
                if answer is None:
                    break
                assert answer.headers["x-request-id"] == request_id
                self._check(answer.status, answer.json, ids)
            if read < len(asked) and self._chance.random() < 0.3:
                # A part of one more answer is read, and then it is gone.
                raw.part(self._chance.randint(1, 1500))

    def _check(self, status: int, body: Any, ids: list[str]) -> None:
        # Too late is an honest answer where all of this runs on two cores.
        if status == 503:
            assert body["code"] in {"deadline_exceeded", "overloaded", "store_unavailable"}
            return
        assert status == 200
        found = body.get("records", [body])
        assert [one["id"] for one in found] == ids
        assert [one["data"]["owner"] for one in found] == [self._owner] * len(found)
        self.answered += 1

    def _question(self) -> tuple[bytes, str, list[str]]:
        """A request, its id, and the ids of the records that it is to be answered by."""
        request_id = f"{self._chance.getrandbits(64):x}"
        numbers = self._chance.sample(range(RECORDS), self._chance.randint(1, 3))
        ids = [f"{self._owner[1]}-{number}" for number in numbers]
        more = self._chance.choice([b"", b"Cache-Control: no-cache\r\n"])
        head = (
            f"Host: h\r\nAuthorization: Bearer {self._key}\r\nX-Request-Id: {request_id}\r\n"
        ).encode() + more
        if self._chance.random() < 0.5:
            line = f"GET {PATH}/{ids[0]} HTTP/1.1\r\n".encode()
            return line + head + b"\r\n", request_id, ids[:1]
        body = json.dumps({"ids": ids}).encode()
        line = f"POST {PATH}:get HTTP/1.1\r\nContent-Type: application/json\r\n".encode()
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        return line + head + length + body, request_id, ids


def test_every_answer_that_arrives_is_the_askers_own(server: Server, keys: list[str]) -> None:
    readers = [
        Reader(server, key, tenant, client)
        for client in range(CLIENTS)
        for tenant, key in enumerate(keys)
    ]
    with ThreadPoolExecutor(32) as pool:
        answered = list(pool.map(Reader.run, readers))
    assert sum(answered) > len(readers) * ROUNDS / 2
    # And nothing is left of it.
    assert Caller(server)("GET", "/readyz").status == 200
    log = server.log.read_text()
    assert "request_failed" not in log
    assert "Traceback" not in log
