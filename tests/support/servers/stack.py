"""Real servers to play with: `python -m tests.support.servers.stack [--cluster]`, until Ctrl-C.

It prints a line of shell for each setting, and `ready`. Where it ends, so do the servers, and all
that they wrote.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.support.servers.fetch import NotAvailable
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.redis import Redis


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cluster", action="store_true", help="3 brokers, 3 members, 6 nodes")
    size = 3 if (chosen := parser.parse_args()).cluster else 1
    # Blocked before any thread is there, so that only `sigwait` gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with tempfile.TemporaryDirectory(prefix="penstock-stack-") as name:
        folder = Path(name)
        try:
            log, store = Kafka(folder, size), MongoDB(folder, size)
            cache = Redis(folder, cluster=chosen.cluster)
        except NotAvailable as error:
            print(f"stack: {error}", file=sys.stderr)
            return 1
        servers = (log, store, cache)
        try:
            # All of them by this thread: they die with the thread that started them.
            for server in servers:
                server.launch()
            for server in servers:
                server.await_ready()
            print(f"export PENSTOCK_LOG_URL={log.url}")
            print(f"export PENSTOCK_STORE_URL='{store.url}'")
            print(f"export PENSTOCK_CACHE_URL={cache.url}")
            print("ready", flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
        finally:
            for server in servers:
                server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
