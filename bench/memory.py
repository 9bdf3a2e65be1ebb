"""The server's memory through an import of a million records: `python -m bench.memory`.

The records go through `records:bulk` in requests of `BULK_LINES`; the resident set is read after
each, and the worker's lag is waited out at the end. The first fifth counts as warm-up.
"""

from __future__ import annotations

import argparse
import http.client
import tempfile
import time
from pathlib import Path

from bench.embedded import BODY, BULK_LINES, KEY, Server, drained, pinned, serve_command

WARM_UP = 0.2
_MIB = 1024


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / _MIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, pinned(serve_command(folder), 0) as server:
        server.ask("PUT", "/v1/collections/million", b"{}")
        samples = imported(server, chosen.records)
        samples.append((chosen.records, resident_mib(server.pid)))
    warm = [mib for done, mib in samples if done >= WARM_UP * chosen.records]
    for done, mib in samples[:: max(len(samples) // 10, 1)]:
        print(f"{done:9,} records  {mib:6.1f} MiB")
    print(
        f"after the warm-up: {warm[0]:.1f} MiB, least {min(warm):.1f}, most {max(warm):.1f},"
        f" at the end {warm[-1]:.1f}; growth {max(warm) - warm[0]:.1f} MiB"
    )


def imported(server: Server, records: int) -> list[tuple[int, float]]:
    """(records done, resident MiB) after each request."""
    samples: list[tuple[int, float]] = []
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-ndjson"}
    begin = time.perf_counter()
    body = b""
    for start in range(0, records, BULK_LINES):
        lines = b"".join(
            b'{"id":"r-%08x","data":%s}\n' % (number, BODY)
            for number in range(start, start + BULK_LINES)
        )
        connection.request("POST", "/v1/collections/million/records:bulk", lines, headers)
        body = connection.getresponse().read()
        assert b'"done":true,"accepted":%d' % BULK_LINES in body, body[-300:]
        samples.append((start + BULK_LINES, resident_mib(server.pid)))
    drained(server, [body])
    print(f"{records:,} records in {time.perf_counter() - begin:.1f} s, one request at a time")
    return samples


if __name__ == "__main__":
    main()
