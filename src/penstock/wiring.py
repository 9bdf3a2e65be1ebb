"""Configuration -> running parts. The only importer of adapters, each where it is asked for."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from pydantic import SecretStr

from penstock.access.access import Access
from penstock.access.principal import Keys
from penstock.api.app import Application
from penstock.api.server import Server
from penstock.apply.fold import Limits
from penstock.apply.housekeeping import Housekeeping
from penstock.apply.persist import Persist
from penstock.apply.refresh import Refresh
from penstock.apply.rulebook import Rulebook
from penstock.apply.thread import WorkerThread
from penstock.apply.worker import Worker
from penstock.config.settings import Configuration
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
from penstock.telemetry.logs import configure

Announce = Callable[[str, str | None, Path], None]
"""Told, once requests are taken: the address, the admin key if it was made just now, the data."""

_SWITCH_INTERVAL_S: Final = 0.001
_COLLECT_EVERY: Final = (50_000, 20, 50)
_KEEP_MARGIN_MS: Final = 3_600_000
"""By how much tombstones outlive the log's entries."""


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
    release: Callable[[], None]


class Parts(NamedTuple):
    """The house, put together."""

    access: Access
    ingest: Ingest
    query: Query
    receipts: Receipts
    backlog: Backlog
    worker: Worker


def serve(configuration: Configuration, announce: Announce) -> int:
    """Run everything in this process until SIGTERM or SIGINT; returns the exit code.

    Raises `ConfigurationError` where the configuration cannot work.
    """
    configure(configuration.log_level)
    # The API and the worker are two threads: one that comes back from SQLite must not wait the
    # default 5 ms for the interpreter.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    engines = embedded(configuration)
    # What exists now lives as long as the process, and requests leave hardly a cycle behind: the
    # collector need not look at the one, nor often for the other.
    gc.freeze()
    gc.set_threshold(*_COLLECT_EVERY)
    return uvloop.run(_serve(configuration, engines, announce))


async def _serve(configuration: Configuration, engines: Engines, announce: Announce) -> int:
    house = parts(configuration, engines)
    worker = WorkerThread(house.worker, uvloop.new_event_loop)
    application = Application(
        house.access,
        house.ingest,
        house.query,
        house.receipts,
        engines.clock,
        engines.entropy,
        configuration,
        worker.trouble,
    )
    server = Server(application, configuration)
    await house.backlog.start()
    worker.start(asyncio.get_running_loop(), on_failure=server.stop)
    new_key = engines.admin_key if engines.new_admin_key else None
    try:
        await server.run(lambda url: announce(url, new_key, configuration.data))
    finally:
        await house.backlog.close()
        await asyncio.to_thread(worker.stop)
        await close(engines)
    return 0 if worker.failure is None else 1


def parts(configuration: Configuration, engines: Engines) -> Parts:
    """The services and the worker on these engines."""
    receipts = Receipts(engines.secret)
    backlog = Backlog(engines.log, engines.store, engines.clock, configuration.backlog_ms)
    return Parts(
        access=Access(Keys(engines.admin_key), engines.catalog, engines.clock),
        ingest=Ingest(
            engines.log,
            backlog,
            Idempotency(engines.cache, configuration.idempotency_ms),
            receipts,
            engines.clock,
            engines.entropy,
            configuration.max_record_bytes,
            BulkPace(configuration.bulk_lag_ms / 1000, configuration.idle_ms / 1000),
        ),
        query=Query(engines.store, engines.cache, engines.clock, engines.entropy, engines.secret),
        receipts=receipts,
        backlog=backlog,
        worker=_worker(configuration, engines),
    )


def _worker(configuration: Configuration, engines: Engines) -> Worker:
    rulebook = Rulebook(engines.catalog)
    limits = Limits(
        configuration.max_record_bytes, configuration.log_retention_ms + _KEEP_MARGIN_MS
    )
    return Worker(
        engines.log,
        engines.store,
        Persist(engines.store, rulebook, limits),
        Refresh(engines.cache, rulebook, engines.clock),
        Housekeeping(
            engines.log,
            engines.store,
            engines.catalog,
            engines.clock,
            configuration.log_retention_ms,
        ),
        configuration.apply_entries,
    )


def embedded(configuration: Configuration, clock: Clock | None = None) -> Engines:
    """The embedded engines on the data directory, which is locked until `close`.

    Raises `ConfigurationError` where the directory cannot be used, or is in use.
    """
    from penstock.adapters.embedded.cache import MemoryCache
    from penstock.adapters.embedded.catalog import EmbeddedCatalog
    from penstock.adapters.embedded.clock import SystemClock
    from penstock.adapters.embedded.database import opening
    from penstock.adapters.embedded.directory import DataDirectory
    from penstock.adapters.embedded.entropy import SystemEntropy
    from penstock.adapters.embedded.log import EmbeddedLog
    from penstock.adapters.embedded.store import EmbeddedStore

    clock = clock or SystemClock()
    entropy = SystemEntropy()
    directory = DataDirectory(configuration.data)
    secret = directory.secret(_revealed(configuration.secret), entropy)
    admin_key, is_new = directory.admin_key(_revealed(configuration.admin_key), entropy)
    with opening(directory.path):
        return Engines(
            log=EmbeddedLog(directory.path / "log.db", clock, entropy),
            store=EmbeddedStore(directory.path / "store.db"),
            cache=MemoryCache(configuration.cache_bytes, clock, entropy),
            catalog=EmbeddedCatalog(directory.path / "catalog.db", entropy),
            clock=clock,
            entropy=entropy,
            secret=secret,
            admin_key=admin_key,
            new_admin_key=is_new,
            release=directory.release,
        )


def _revealed(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


async def close(engines: Engines) -> None:
    """Let go of everything, the log first: it finishes what it took."""
    await engines.log.close()
    await engines.store.close()
    await engines.catalog.close()
    await engines.cache.close()
    engines.release()
