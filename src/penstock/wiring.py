"""Configuration -> running parts. The only importer of adapters, each where it is asked for."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import uvloop

from penstock.access.access import Access
from penstock.access.principal import Keys
from penstock.api.app import Application
from penstock.api.server import Server
from penstock.apply.fold import Limits
from penstock.apply.housekeeping import Housekeeping
from penstock.apply.persist import Persist
from penstock.apply.refresh import Refresh
from penstock.apply.rulebook import Rulebook
from penstock.apply.worker import Worker
from penstock.errors import LogDiverged
from penstock.ingest.accept import Ingest
from penstock.ingest.backlog import Backlog
from penstock.ingest.bulk import BulkPace
from penstock.ingest.idempotency import Idempotency
from penstock.ports.cache import Cache
from penstock.ports.catalog import Catalog
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy
from penstock.ports.log import Log
from penstock.ports.store import Store
from penstock.query.query import Query
from penstock.records.receipt import Receipts
from penstock.telemetry.logs import configure, logger

if TYPE_CHECKING:
    from penstock.config.settings import Configuration

Announce = Callable[[str, str | None, Path], None]
"""Told, once requests are taken: the address, the admin key if it was made just now, the data."""

_SWITCH_INTERVAL_S: Final = 0.001
_KEEP_MARGIN_MS: Final = 3_600_000

_log = logger("wiring")


class Engines(NamedTuple):
    """The adapters that were chosen, and what all parts share."""

    log: Log
    store: Store
    cache: Cache
    catalog: Catalog
    clock: Clock
    entropy: Entropy
    secret: bytes
    admin_key: str
    new_admin_key: bool


def serve(configuration: Configuration, announce: Announce) -> int:
    """Run everything in this process until SIGTERM or SIGINT; returns the exit code.

    Raises `ConfigurationError` before anything is touched that cannot be.
    """
    configure(configuration.log_level)
    # The API and the worker are two threads: a thread that comes back from SQLite must not wait
    # the default 5 ms for the interpreter.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with embedded(configuration) as engines:
        gc.freeze()
        return uvloop.run(_serve(configuration, engines, announce))


async def _serve(configuration: Configuration, engines: Engines, announce: Announce) -> int:
    backlog = Backlog(engines.log, engines.store, engines.clock, configuration.backlog_ms)
    worker = WorkerThread(worker_of(configuration, engines))
    await backlog.start()
    server = Server(application_of(configuration, engines, backlog, worker), configuration)
    worker.start(on_failure=server.stop)
    try:
        await server.run(
            lambda url: announce(
                url, engines.admin_key if engines.new_admin_key else None, configuration.data
            )
        )
    finally:
        await backlog.close()
        await engines.log.close()
        await asyncio.to_thread(worker.stop)
    return 0 if worker.failure is None else 1
