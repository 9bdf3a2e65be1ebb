"""What a record takes in each engine: `python -m bench.footprint`. `penstock plan` counts with it.

Flights (real ones, of 300 bytes) and the same with a text of random letters that makes 1,000 bytes
of them are put through `penstock serve` into a real Kafka, MongoDB and Redis; then the engines are
asked how much they hold. Sizes do not depend on the speed of the machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import string
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import redis
from pymongo import MongoClient
from tests.support.flights import rows, unpack
from tests.support.server import Server
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.redis import Redis

from bench.memory import resident_mib

RECORDS = 200_000
LINES = 2_000
INDEXES = [{"fields": ["data.tailnum", "-data.time_hour"]}, {"fields": ["-data.time_hour"]}]
SIZES = (300, 1_000)


def documents(count: int, size: int, source: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    """So many flights, each filled up to about so many bytes of JSON."""
    letters = random.Random(size)
    for flight in islice(source, count):
        text = json.dumps(flight, separators=(",", ":"))
        lacking = size - len(text) - len(',"note":""')
        if lacking > 0:
            note = "".join(letters.choices(string.ascii_lowercase, k=lacking))
            text = json.dumps({**flight, "note": note}, separators=(",", ":"))
        yield text.encode()


class Asking:
    """A connection to a server, with its key."""

    def __init__(self, server: Server) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=120)
        self._key = {"Authorization": f"Bearer {server.KEY}"}

    def ask(self, method: str, path: str, body: bytes = b"", **more: str) -> bytes:
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        self._connection.request(method, path, body or None, {**self._key, **headers})
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status < 400, text[-500:]
        return text


def measured(folder: Path, records: int, size: int, partitions: int) -> dict[str, float]:
    """Bytes of a record in each engine."""
    source = [dict(one) for one in rows(unpack(folder))]
    engines = Kafka(folder / "k"), MongoDB(folder / "m"), Redis(folder / "r")
    for one in engines:
        one.start()
    kafka, mongodb, cache = engines
    server = Server(
        folder / "data",
        PENSTOCK_LOG_URL=kafka.url,
        PENSTOCK_STORE_URL=mongodb.url,
        PENSTOCK_CACHE_URL=cache.url,
        PENSTOCK_LOG_PARTITIONS=str(partitions),
        PENSTOCK_DEADLINE_MS="30000",  # sizes are measured here, and not times
        PENSTOCK_IDLE_MS="120000",
    )
    try:
        server.start()
        asking = Asking(server)
        settings = json.dumps({"indexes": INDEXES, "cache": {"ttl": "1h"}}).encode()
        asking.ask("PUT", "/v1/collections/flights", settings, Content_Type="application/json")
        length = _put(asking, list(documents(records, size, source)))
        return {
            "json": length,
            **_kafka(folder / "k", records),
            **_mongodb(mongodb.url, records),
            **_redis(asking, cache.url, records),
            "resident_mib": resident_mib(server.pid),
        }
    finally:
        server.close()
        for one in engines:
            one.stop()


def _put(asking: Asking, texts: Sequence[bytes]) -> float:
    receipt = ""
    for start in range(0, len(texts), LINES):
        part = enumerate(texts[start : start + LINES], start)
        lines = b"".join(b'{"id":"r-%08x","data":%s}\n' % one for one in part)
        path = "/v1/collections/flights/records:bulk"
        body = asking.ask("POST", path, lines, Content_Type="application/x-ndjson")
        last = json.loads(body.splitlines()[-1])
        assert last["done"], last
        receipt = last["receipt"]
    while json.loads(asking.ask("GET", f"/v1/receipts/{receipt}"))["status"] != "applied":
        time.sleep(0.5)
    return sum(map(len, texts)) / len(texts)


def _kafka(folder: Path, records: int) -> dict[str, float]:
    logs = [one for one in folder.rglob("*.log") if ".g1-" in one.parent.name]
    # Segments are made at their full length on some file systems; what is in them counts.
    return {"log": sum(one.stat().st_blocks * 512 for one in logs) / records}


def _mongodb(url: str, records: int) -> dict[str, float]:
    with MongoClient[dict[str, Any]](url) as client:
        (name,) = (one for one in client.list_database_names() if one.startswith("test-"))
        client.admin.command("fsync")
        found = {}
        for collection in client[name].list_collection_names():
            stats = client[name].command("collStats", collection)
            if stats["count"] == records:
                sizes = stats["indexSizes"]
                found = {
                    "document": stats["size"] / records,
                    "stored": stats["storageSize"] / records,
                    "id_index": sizes.pop("_id_") / records,
                    "index": max(sizes.values()) / records,
                }
        return found


def _redis(asking: Asking, url: str, records: int) -> dict[str, float]:
    client = redis.Redis.from_url(url)
    before, keys = client.info("memory")["used_memory"], client.dbsize()
    asked = min(records, 50_000)
    for start in range(0, asked, 1_000):
        ids = [f"r-{number:08x}" for number in range(start, start + 1_000)]
        body = json.dumps({"ids": ids}).encode()
        path = "/v1/collections/flights/records:get"
        asking.ask("POST", path, body, Content_Type="application/json")
    time.sleep(1)
    grown = client.info("memory")["used_memory"] - before
    return {"cached": grown / (client.dbsize() - keys)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    chosen = parser.parse_args()
    for size in chosen.sizes:
        with tempfile.TemporaryDirectory() as folder:
            found = measured(Path(folder), chosen.records, size, chosen.partitions)
            told = "  ".join(f"{name} {value:.0f}" for name, value in found.items())
            print(f"{size:5} bytes, {chosen.partitions} partitions: {told}", flush=True)


if __name__ == "__main__":
    main()
