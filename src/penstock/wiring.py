"""Configuration -> running parts. The only importer of adapters, each where it is asked for."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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
from penstock.errors import ConfigurationError, Unavailable
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
    """The adapters that were chosen, and what all parts share.

    Attributes:
        worker_store, worker_catalog: the same store and catalog, for the worker's event loop:
            connections belong to one. For engines without connections, the very same.
        release: lets go of the data directory.
    """

    log: Log
    store: Store
    cache: Cache
    catalog: Catalog
    worker_store: Store
    worker_catalog: Catalog
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
    engines = open_engines(configuration)
    # What exists now lives as long as the process, and requests leave hardly a cycle behind: the
    # collector need not look at the one, nor often for the other.
    gc.freeze()
    gc.set_threshold(*_COLLECT_EVERY)
    return uvloop.run(_serve(configuration, engines, announce))


async def _serve(configuration: Configuration, engines: Engines, announce: Announce) -> int:
    house = parts(configuration, engines)
    worker = WorkerThread(partial(work, house.worker, engines), uvloop.new_event_loop)
    application = Application(
        house.access,
        house.ingest,
        house.query,
        house.receipts,
        engines.clock,
        engines.entropy,
        configuration,
        partial(_trouble, house.worker, worker),
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


async def _trouble(worker: Worker, thread: WorkerThread) -> str | None:
    """Why this process should be asked for nothing; None where it may be."""
    return await thread.trouble() or (
        None if worker.assigned else "The worker has no partitions of the log yet."
    )


async def work(worker: Worker, engines: Engines, stop: asyncio.Event) -> None:
    """The worker's thread: what is its own is closed there."""
    try:
        await worker.run(stop)
    finally:
        if engines.worker_store is not engines.store:
            await engines.worker_store.close()
            await engines.worker_catalog.close()


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
    rulebook = Rulebook(engines.worker_catalog)
    limits = Limits(
        configuration.max_record_bytes, configuration.log_retention_ms + _KEEP_MARGIN_MS
    )
    return Worker(
        engines.log,
        engines.worker_store,
        Persist(engines.worker_store, rulebook, limits),
        Refresh(engines.cache, rulebook, engines.clock),
        Housekeeping(
            engines.log,
            engines.worker_store,
            engines.worker_catalog,
            engines.clock,
            configuration.log_retention_ms,
        ),
        configuration.apply_entries,
    )


def open_engines(configuration: Configuration, clock: Clock | None = None) -> Engines:
    """The engines that the configuration names; embedded ones where it names none.

    The data directory is locked until `close`. Raises `ConfigurationError` where one cannot be
    used, or is in use.
    """
    from penstock.adapters.embedded.cache import MemoryCache
    from penstock.adapters.embedded.clock import SystemClock
    from penstock.adapters.embedded.database import opening
    from penstock.adapters.embedded.directory import DataDirectory
    from penstock.adapters.embedded.entropy import SystemEntropy

    clock = clock or SystemClock()
    entropy = SystemEntropy()
    directory = DataDirectory(configuration.data)
    secret = directory.secret(_revealed(configuration.secret), entropy)
    admin_key, is_new = directory.admin_key(_revealed(configuration.admin_key), entropy)
    with opening(directory.path):
        store, catalog = _open_store(configuration, entropy)
        worker_store, worker_catalog = store, catalog
        if configuration.store_url is not None:
            worker_store, worker_catalog = _open_store(configuration, entropy)
        return Engines(
            log=_open_log(configuration, clock, entropy),
            store=store,
            cache=MemoryCache(configuration.cache_bytes, clock, entropy),
            catalog=catalog,
            worker_store=worker_store,
            worker_catalog=worker_catalog,
            clock=clock,
            entropy=entropy,
            secret=secret,
            admin_key=admin_key,
            new_admin_key=is_new,
            release=directory.release,
        )


def _open_log(configuration: Configuration, clock: Clock, entropy: Entropy) -> Log:
    url = _revealed(configuration.log_url)
    if url is None:
        from penstock.adapters.embedded.log import EmbeddedLog

        return EmbeddedLog(configuration.data / "log.db", clock, entropy)
    with _driver("PENSTOCK_LOG_URL", "kafka"):
        from penstock.adapters.kafka.address import settings_of
        from penstock.adapters.kafka.log import KafkaLog
    try:
        return KafkaLog(
            settings_of(url),
            configuration.log_name,
            configuration.log_partitions,
            configuration.deadline_ms,
            configuration.log_retention_ms,
            clock,
        )
    except Unavailable as error:
        raise ConfigurationError(f"PENSTOCK_LOG_URL cannot be used: {error.internal}") from error


def _open_store(configuration: Configuration, entropy: Entropy) -> tuple[Store, Catalog]:
    url = _revealed(configuration.store_url)
    if url is None:
        from penstock.adapters.embedded.catalog import EmbeddedCatalog
        from penstock.adapters.embedded.store import EmbeddedStore

        store = EmbeddedStore(configuration.data / "store.db")
        return store, EmbeddedCatalog(configuration.data / "catalog.db", entropy)
    with _driver("PENSTOCK_STORE_URL", "mongodb"):
        from penstock.adapters.mongodb.catalog import MongoCatalog
        from penstock.adapters.mongodb.store import MongoStore
    name = configuration.store_name
    return MongoStore(url, name), MongoCatalog(url, name, entropy)


@contextmanager
def _driver(setting: str, extra: str) -> Iterator[None]:
    """A setting that needs a driver says which, where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"{setting} needs a driver that is not installed: pip install 'penstock[{extra}]'"
        ) from error


def _revealed(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


async def close(engines: Engines) -> None:
    """Let go of everything, the log first: it finishes what it took."""
    await engines.log.close()
    await engines.store.close()
    await engines.catalog.close()
    await engines.cache.close()
    engines.release()
