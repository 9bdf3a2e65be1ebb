"""Asks a server for its health every 50 ms, on a connection of its own, and watches its memory.

A process of its own: what the load generator has to do must not count as the server's time. Runs
until its standard input ends; then prints what it saw, as JSON.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EVERY_S = 0.05
_PAGE_KIB = 4
_REQUEST = b"GET /livez HTTP/1.1\r\nHost: bench\r\n\r\n"


def main() -> None:
    host, port, pid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    health: list[float] = []
    failed = 0
    resident = 0
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not select.select([sys.stdin], [], [], EVERY_S)[0]:
            began = time.perf_counter()
            connection.sendall(_REQUEST)
            answer = connection.recv(4096)
            health.append(1000 * (time.perf_counter() - began))
            failed += not answer.startswith(b"HTTP/1.1 200")
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            resident = max(resident, pages * _PAGE_KIB // 1024)
    print(json.dumps({"health_ms": sorted(health), "failed": failed, "rss_mib": resident}))


@contextmanager
def probing(host: str, port: int, pid: int) -> Iterator[dict[str, Any]]:
    """What was seen within the block is in the dictionary after it."""
    seen: dict[str, Any] = {}
    command = [sys.executable, "-m", "bench.probe", host, str(port), str(pid)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield seen
    finally:
        told, _ = process.communicate()
    seen.update(json.loads(told))


if __name__ == "__main__":
    main()
