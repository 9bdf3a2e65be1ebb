"""The sides that are compared: how each is asked for the same thing, and what it must answer."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol
from urllib.parse import quote

from pymongo import MongoClient

from bench.children import Child
from bench.load import Exchange, request
from bench.records import PAGE, SITES, body, is_newest_page, is_record, line, record, record_id

ADMIN_KEY: Final = "bench-0123456789abcdef"
TENANT: Final = "default"
NO_LIMIT: Final = {"requests_per_second": 1_000_000, "bytes_per_second": 1_000_000_000}
"""Quotas that are counted, and never used up."""
READS: Final = "reads"
"""The collection that is read."""
LINES: Final = 2_000
"""Of a bulk."""
_JSON: Final = "application/json"
_NDJSON: Final = "application/x-ndjson"
_FRESH: Final = "Cache-Control: no-cache\r\n"
_DRAIN_S: Final = 300
_TRIES: Final = 10
_UNAVAILABLE: Final = 503

Mongo = MongoClient[dict[str, Any]]


class Side(Protocol):
    """One of them.

    Attributes:
        name: in reports.
        child: answers requests.
    """

    name: str
    child: Child

    def put(self, collection: str, number: int) -> Exchange:
        """The write of one record."""

    def bulk(self, collection: str, first: int) -> Exchange:
        """The write of `LINES` records."""

    def get(self, number: int, *, fresh: bool, checked: bool) -> Exchange:
        """One record of `READS`, from the store where `fresh`."""

    def page(self, site: int, *, checked: bool) -> Exchange:
        """The newest `PAGE` records of a site."""


class Express:
    """The stack of Express, kafkajs, ioredis and the MongoDB driver."""

    name = "Express"

    def __init__(self, child: Child) -> None:
        self.child = child

    def put(self, collection: str, number: int) -> Exchange:
        path = f"/v1/{collection}/records/{record_id(number)}"
        return Exchange(request("PUT", path, "", body(number), _JSON), b"202")

    def bulk(self, collection: str, first: int) -> Exchange:
        lines = _lines(first)
        path = f"/v1/{collection}/records/bulk"
        return Exchange(request("POST", path, "", lines, _NDJSON), b"200", _all_accepted)

    def get(self, number: int, *, fresh: bool, checked: bool) -> Exchange:
        path = f"/v1/{READS}/records/{record_id(number)}"
        asked = request("GET", path, "", headers=_FRESH if fresh else "")
        return Exchange(asked, b"200", is_record(number) if checked else None)

    def page(self, site: int, *, checked: bool) -> Exchange:
        path = f"/v1/{READS}/records?site={_site(site)}&limit={PAGE}"
        asked = request("GET", path, "")
        return Exchange(asked, b"200", is_newest_page(site) if checked else None)


class Penstock:
    """Ours, with a key of its own, whose quotas are counted."""

    name = "Penstock"

    def __init__(self, child: Child) -> None:
        self.child = child
        scopes = [{"collections": "*", "verbs": ["read", "write", "admin"]}]
        asked = {"tenant": TENANT, "name": "bench", "scopes": scopes, "rate": NO_LIMIT}
        self._key: str = self._ask("POST", "/v1/keys", ADMIN_KEY, asked)["key"]

    def put(self, collection: str, number: int) -> Exchange:
        path = f"{_of(collection)}/records/{record_id(number)}"
        return Exchange(request("PUT", path, self._key, body(number), _JSON), b"202")

    def bulk(self, collection: str, first: int) -> Exchange:
        asked = request(
            "POST", f"{_of(collection)}/records:bulk", self._key, _lines(first), _NDJSON
        )
        return Exchange(asked, b"200", _all_accepted)

    def get(self, number: int, *, fresh: bool, checked: bool) -> Exchange:
        path = f"{_of(READS)}/records/{record_id(number)}"
        asked = request("GET", path, self._key, headers=_FRESH if fresh else "")
        return Exchange(asked, b"200", is_record(number) if checked else None)

    def page(self, site: int, *, checked: bool) -> Exchange:
        asked_for = quote(json.dumps({"data.site": _site(site)}, separators=(",", ":")))
        path = f"{_of(READS)}/records?filter={asked_for}&sort=-data.time&page_size={PAGE}"
        return Exchange(
            request("GET", path, self._key), b"200", is_newest_page(site) if checked else None
        )

    def put_and_read(self, collection: str, number: int) -> Exchange:
        """A write, and the read that presents its receipt."""

        def read(answer: bytes) -> Exchange:
            header = f"Penstock-Receipt: {json.loads(answer)['receipt']}\r\n"
            path = f"{_of(collection)}/records/{record_id(number)}"
            return Exchange(
                request("GET", path, self._key, headers=header), b"200", is_record(number)
            )

        return self.put(collection, number)._replace(then=read)

    def create(self, collection: str, settings: dict[str, Any]) -> None:
        """The collection."""
        self._ask("PUT", _of(collection), self._key, settings)

    def _ask(self, method: str, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        asked = urllib.request.Request(
            f"http://{self.child.host}:{self.child.port}{path}",
            method=method,
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": _JSON},
        )
        for attempt in range(_TRIES):
            try:
                with urllib.request.urlopen(asked, timeout=30) as answer:
                    decoded: dict[str, Any] = json.loads(answer.read())
                    return decoded
            except urllib.error.HTTPError as error:
                if error.code != _UNAVAILABLE or attempt == _TRIES - 1:
                    raise
                time.sleep(1)
        raise AssertionError("it was answered, or raised")


class Eve:
    """Eve under gunicorn, on MongoDB; it takes single records only."""

    name = "Eve"

    def __init__(self, child: Child) -> None:
        self.child = child

    def put(self, collection: str, number: int) -> Exchange:
        sent = json.dumps({"id": record_id(number), **record(number)}).encode()
        return Exchange(request("POST", f"/{collection}", "", sent, _JSON), b"201")


class Stored:
    """What a side has in MongoDB by now.

    Args:
        client: of the server.
        database: the side's.
        physical: the name there of a collection.
    """

    def __init__(self, client: Mongo, database: str, physical: Callable[[str], str]) -> None:
        self._database = client[database]
        self._physical = physical

    def count(self, collection: str) -> int:
        return self._database[self._physical(collection)].estimated_document_count()

    def await_count(self, collection: str, count: int, doubtful: int = 0) -> None:
        """Wait until so many are there; doubtful ones, which were refused, may be there as well.

        Raises `AssertionError` when that takes too long, or more come.
        """
        until = time.monotonic() + _DRAIN_S
        while (there := self.count(collection)) < count:
            assert time.monotonic() < until, f"{there} of {count} {collection} arrived"
            time.sleep(0.01)
        assert there <= count + doubtful, f"{there} {collection}, {count} were acknowledged"

    def check(self, collection: str, numbers: Iterator[int]) -> None:
        """Each of these is what was written."""
        for number in numbers:
            found = self._database[self._physical(collection)].find_one(record_id(number))
            assert found is not None, f"{collection}: {record_id(number)} was acknowledged"
            assert found["data"] == record(number), found

    def index(self, collection: str) -> None:
        """The one that `page` needs, made by hand."""
        keys = [("data.site", 1), ("data.time", -1)]
        self._database[self._physical(collection)].create_index(keys)


def physical_of(client: Mongo, database: str) -> Callable[[str], str]:
    """The names of our collections in MongoDB, known once they are created."""
    known: dict[str, str] = {}

    def physical(collection: str) -> str:
        if collection not in known:
            found = client[database]["collections"].find_one({"name": collection})
            assert found is not None
            known[collection] = f"records_{found['_id']}"
        return known[collection]

    return physical


def _of(collection: str) -> str:
    return f"/v1/collections/{collection}"


def _site(site: int) -> str:
    return f"station-{site % SITES:04}"


def _lines(first: int) -> bytes:
    return b"".join(line(number) for number in range(first, first + LINES))


def _all_accepted(answer: bytes) -> None:
    """Both sides say at the end how many they accepted; ours with a receipt behind it."""
    assert b'"accepted":%d' % LINES in answer[-2000:], answer[-2000:]
