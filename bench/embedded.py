"""The embedded server on one core, the load on another: `python -m bench.embedded [--seconds 8]`.

Each workload is run in turn, several rounds over, so that a change of the machine's speed meets all
of them. Writes are counted until the worker's lag is back to zero: the time ends when the last
receipts say `applied`. The constant is the same HTTP server, answering a fixed body.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench.load import Next, Outcome, request, run

KEY = "bench-0123456789abcdef"
CONNECTIONS = 64
BULK_LINES = 2_000
READ_IDS = 10_000
_JSON = "application/json"
_NDJSON = "application/x-ndjson"

RECORD = {
    "site": "dam-7", "sensor": "flow-12", "time": "2026-01-01T00:00:00Z", "value": 12.5,
    "unit": "m3/s", "quality": "good", "note": "x" * 80,
}  # fmt: skip
BODY = json.dumps(RECORD, separators=(",", ":")).encode()


class Server(NamedTuple):
    host: str
    port: int
    pid: int

    def ask(self, method: str, path: str, body: bytes = b"", content_type: str = _JSON) -> Any:
        asked = urllib.request.Request(
            f"http://{self.host}:{self.port}{path}",
            method=method,
            data=body or None,
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": content_type},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]


def serve_command(folder: str) -> list[str]:
    """The embedded server on a free port, with its data in the folder."""
    program = str(Path(sys.executable).parent / "penstock")
    return [program, "serve", "--port", "0", "--data", str(Path(folder) / "data")]


@contextmanager
def pinned(command: list[str], core: int) -> Iterator[Server]:
    """A server process on one core; its first line of output with an address says where."""
    environment = os.environ | {"PENSTOCK_ADMIN_KEY": KEY, "PENSTOCK_LOG_LEVEL": "warning"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    os.sched_setaffinity(process.pid, {core})
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "http://" in line:
                host, port = line.split("http://")[1].split()[0].rstrip("/.,").split(":")
                break
        else:
            raise RuntimeError("the server did not start")
        yield Server(host, int(port), process.pid)
    finally:
        process.terminate()
        process.wait(30)


def repeated(payload: bytes, until: float) -> Next:
    return lambda: payload if time.perf_counter() < until else None


def puts(connection: int, until: float) -> Next:
    """Single writes to records of the connection's own, each a new one."""
    numbers = itertools.count()
    return lambda: (
        request("PUT", f"/v1/collections/puts/records/{connection:02x}-{next(numbers):08x}",
                KEY, BODY, _JSON)
        if time.perf_counter() < until
        else None
    )  # fmt: skip


def bulks(run_id: str, until: float) -> Next:
    """Bulk requests of `BULK_LINES` new records each."""
    numbers = itertools.count()

    def following() -> bytes | None:
        if time.perf_counter() >= until:
            return None
        batch = next(numbers)
        lines = b"".join(
            b'{"id":"%s-%06x-%04x","data":%s}\n' % (run_id.encode(), batch, n, BODY)
            for n in range(BULK_LINES)
        )
        return request("POST", "/v1/collections/bulks/records:bulk", KEY, lines, _NDJSON)

    return following


def gets(until: float) -> Next:
    requests = [
        request("GET", f"/v1/collections/reads/records/read-{n:06x}", KEY) for n in range(READ_IDS)
    ]
    return lambda: random.choice(requests) if time.perf_counter() < until else None


def drained(server: Server, bodies: list[bytes]) -> float:
    """Seconds until the last receipts are applied."""
    begin = time.perf_counter()
    receipts = [
        part.split(b'"receipt":"')[1].split(b'"')[0].decode()
        for part in bodies
        if b'"receipt":"' in part
    ]
    for receipt in receipts:
        while server.ask("GET", f"/v1/receipts/{receipt}")[0]["status"] == "durable":
            time.sleep(0.005)
    return time.perf_counter() - begin


def one(server: Server, workload: str, seconds: float, round_: int) -> dict[str, float]:
    until = time.perf_counter() + seconds
    if workload == "constant":
        nexts = [repeated(request("GET", "/", KEY), until) for _ in range(CONNECTIONS)]
    elif workload == "put":
        nexts = [puts(round_ * CONNECTIONS + n, until) for n in range(CONNECTIONS)]
    elif workload == "get":
        nexts = [gets(until) for _ in range(CONNECTIONS)]
    else:
        nexts = [bulks(f"{round_}-{n}", until) for n in range(4)]
    status = b"202" if workload == "put" else b"200"
    outcome: Outcome = asyncio.run(run(server.host, server.port, nexts, status))
    extra = drained(server, outcome.last_bodies) if workload in ("put", "bulk") else 0.0
    each = BULK_LINES if workload == "bulk" else 1
    return {
        "per_second": each * outcome.requests / (outcome.seconds + extra),
        "p50_ms": outcome.percentile(0.5),
        "p99_ms": outcome.percentile(0.99),
        "drain_s": extra,
        "load_cpu": outcome.cpu_share,
    }


def prepare(server: Server) -> None:
    """A collection per workload, and the records that will be read, read once."""
    for name in ("puts", "bulks", "reads"):
        server.ask("PUT", f"/v1/collections/{name}", b'{"cache":{"ttl":"10m"}}')
    lines = b"".join(b'{"id":"read-%06x","data":%s}\n' % (n, BODY) for n in range(READ_IDS))
    done = server.ask("POST", "/v1/collections/reads/records:bulk", lines, _NDJSON)[-1]
    drained(server, [json.dumps(done, separators=(",", ":")).encode()])
    for n in range(READ_IDS):
        server.ask("GET", f"/v1/collections/reads/records/read-{n:06x}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    uvloop.install()
    os.sched_setaffinity(0, {1})
    results: dict[str, list[dict[str, float]]] = {}
    workloads = chosen.only.split(",") if chosen.only else ["constant", "put", "bulk", "get"]
    with tempfile.TemporaryDirectory() as folder:
        constant = [sys.executable, "-m", "bench.constant"]
        with pinned(serve_command(folder), 0) as server, pinned(constant, 0) as fixed:
            prepare(server)
            for round_, workload in itertools.product(range(chosen.rounds), workloads):
                where = fixed if workload == "constant" else server
                figures = one(where, workload, chosen.seconds, round_)
                results.setdefault(workload, []).append(figures)
                print(workload, {name: round(value, 2) for name, value in figures.items()})
    for workload, rounds in results.items():
        rates = sorted(figures["per_second"] for figures in rounds)
        print(
            f"{workload:10} median {statistics.median(rates):9.0f}/s"
            f"  ({rates[0]:.0f} to {rates[-1]:.0f})"
            f"  p99 {statistics.median(figures['p99_ms'] for figures in rounds):.1f} ms"
        )


if __name__ == "__main__":
    main()
