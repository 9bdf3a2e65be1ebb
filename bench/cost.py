"""What it costs to be careful: `python -m bench.cost [--seconds 5] [--rounds 3]`.

The embedded server with all that looks after requests (keys, quotas of key and tenant, admission,
deadlines, metrics), beside the same server with all of that taken out: whoever comes is the
operator, no request is counted, timed, held back or given up. Both are asked in turn, each alone on
core 0, with the load on core 1.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import uvloop

from bench.embedded import CONNECTIONS, gets, pinned, prepare, puts
from bench.load import run

QUOTAS = {
    "PENSTOCK_KEY_REQUESTS_PER_SECOND": "1000000",
    "PENSTOCK_KEY_BYTES_PER_SECOND": "1000000000",
    "PENSTOCK_TENANT_REQUESTS_PER_SECOND": "1000000",
    "PENSTOCK_TENANT_BYTES_PER_SECOND": "1000000000",
}


class Careless:
    """In the place of a request's guard: nothing is given up."""

    expires_at = 0.0
    late: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


def bare(data: str) -> None:
    """Serve without any care."""
    from penstock.access.authentication import Authentication  # noqa: PLC0415  # this process only
    from penstock.access.principal import Principal  # noqa: PLC0415  # likewise
    from penstock.api.deadline import Deadlines  # noqa: PLC0415  # likewise
    from penstock.api.gate import Gate  # noqa: PLC0415  # likewise
    from penstock.api.observed import Observed  # noqa: PLC0415  # likewise
    from penstock.config import Configuration  # noqa: PLC0415  # likewise
    from penstock.records.scope import EVERYTHING  # noqa: PLC0415  # likewise
    from penstock.wiring import house, parts  # noqa: PLC0415  # likewise

    operator = Principal("default", "anybody", EVERYTHING, is_operator=True)
    careless = Careless()
    for patched, name, what in (
        (Authentication, "recall", lambda *_: operator),
        (Deadlines, "guard", lambda *_: careless),
        (Gate, "receive", lambda _self, guest: guest.begin(0.0)),
        (Gate, "leave", lambda *_: None),
        (Gate, "turns_away", lambda *_: False),
        (Observed, "ended", lambda *_: None),
        (parts, "observed", lambda engines, _: engines),
    ):
        setattr(patched, name, what)
    configuration = Configuration.read(port=0, data=Path(data))
    house.serve(configuration, lambda url, *_: print(f"{url} ", flush=True))


def command(folder: str, kind: str) -> list[str]:
    data = str(Path(folder) / kind)
    if kind == "bare":
        return [sys.executable, "-m", "bench.cost", "--bare", data]
    program = str(Path(sys.executable).parent / "penstock")
    return ["env", *(f"{name}={value}" for name, value in QUOTAS.items()),
            program, "serve", "--port", "0", "--data", data]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", metavar="DATA", help="serve without care, from this directory")
    chosen = parser.parse_args()
    if chosen.bare:
        bare(chosen.bare)
        return
    uvloop.install()
    os.sched_setaffinity(0, {1})
    with (
        tempfile.TemporaryDirectory() as folder,
        pinned(command(folder, "careful"), 0) as careful,
        pinned(command(folder, "bare"), 0) as without,
    ):
        servers = {"careful": careful, "bare": without}
        for server in servers.values():
            prepare(server)
        rates: dict[tuple[str, str], list[float]] = {}
        for round_, workload, kind in itertools.product(
            range(chosen.rounds), ("get", "put"), servers
        ):
            server = servers[kind]
            until = time.perf_counter() + chosen.seconds
            nexts = [
                gets(until) if workload == "get" else puts(round_ * CONNECTIONS + n, until)
                for n in range(CONNECTIONS)
            ]
            status = b"202" if workload == "put" else b"200"
            outcome = asyncio.run(run(server.host, server.port, nexts, status))
            rate = outcome.requests / outcome.seconds
            rates.setdefault((workload, kind), []).append(rate)
            print(f"{workload} {kind:8} {rate:9.0f}/s")
            time.sleep(2)
    for workload in ("get", "put"):
        pairs = zip(rates[workload, "careful"], rates[workload, "bare"], strict=True)
        ratios = sorted(one / other for one, other in pairs)
        print(
            f"{workload}: with care {statistics.median(rates[workload, 'careful']):.0f}/s, without "
            f"{statistics.median(rates[workload, 'bare']):.0f}/s, ratio "
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
