"""Engines -> running parts, and the process that they run in."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from penstock.access.access import Access
from penstock.access.authentication import Authentication
from penstock.access.claims import ClaimNames
from penstock.access.keeping import KeyKeeping
from penstock.access.keys import KnownKeys
from penstock.access.limits import Granted, Limits
from penstock.access.sharing import Sharing
from penstock.access.tokens import TokenRules, Tokens
from penstock.access.voucher import Vouchers
from penstock.api.app import Application
from penstock.api.route import Role
from penstock.api.server import Server
from penstock.api.services import Below
from penstock.apply.aside import Burst
from penstock.apply.fold import Limits as RecordLimits
from penstock.apply.guard import starts
from penstock.apply.housekeeping import Housekeeping
from penstock.apply.indexing import Indexing
from penstock.apply.observed import Observed
from penstock.apply.persist import Persist
from penstock.apply.quarantine import Quarantine
from penstock.apply.refresh import Refresh
from penstock.apply.rulebook import Rulebook
from penstock.apply.worker import Worker
from penstock.config.settings import Configuration
from penstock.ingest.accept import Ingest
from penstock.ingest.backlog import Backlog
from penstock.ingest.bulk import BulkPace
from penstock.ingest.idempotency import Idempotency
from penstock.query.guard import Limits as QueryLimits
from penstock.query.query import Query
from penstock.records.operation import CLIENT_RETENTION_MS
from penstock.records.receipt import Receipts
from penstock.records.scope import Rate
from penstock.telemetry.logs import configure
from penstock.telemetry.loop import LoopLag
from penstock.wiring import tracing
from penstock.wiring.applying import (
    Applying,
    NothingToApply,
    WorkerHere,
    WorkersElsewhere,
    work,
)
from penstock.wiring.engines import Engines, Needs, close, open_engines
from penstock.wiring.observing import (
    follow_backlog,
    follow_credentials,
    follow_fleets,
    follow_server,
    observed,
)
from penstock.wiring.probing import answering
from penstock.wiring.roles import Part, check_budgets, check_shared, forwarding_of, part_of

Announce = Callable[[str, str | None, Path], None]
"""Told, once requests are taken: the address, the admin key if it was made just now, the data."""

AnnounceWorker = Callable[[str | None], None]
"""Told that a worker begins, and the address at which it answers, if it does."""

_SWITCH_INTERVAL_S: Final = 0.001
_COLLECT_EVERY: Final = (50_000, 20, 50)
_KEEP_MARGIN_MS: Final = 3_600_000
"""By how much tombstones outlive the log's entries, and the operation ids that are remembered."""


class Parts(NamedTuple):
    """The house, put together."""

    authentication: Authentication
    access: Access
    keys: KeyKeeping
    limits: Limits
    sharing: Sharing
    ingest: Ingest
    query: Query
    receipts: Receipts
    backlog: Backlog
    quarantine: Quarantine
    worker: Worker


def serve(configuration: Configuration, announce: Announce, role: Role | None = None) -> int:
    """Run one role, or (None) all in one process, until SIGTERM or SIGINT; the exit code.

    Raises `ConfigurationError` where the configuration cannot work.
    """
    _configure_logs(configuration)
    check_budgets(configuration)
    part = part_of(role, configuration)
    # The API and the worker are two threads: one that comes back from SQLite must not wait the
    # default 5 ms for the interpreter.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    engines = open_engines(configuration, needs=part.needs, role=part.role)
    # What exists now lives as long as the process, and requests leave hardly a cycle behind: the
    # collector need not look at the one, nor often for the other.
    gc.freeze()
    gc.set_threshold(*_COLLECT_EVERY)
    return uvloop.run(_serve(configuration, engines, announce, part))


async def _serve(
    configuration: Configuration, engines: Engines, announce: Announce, part: Part
) -> int:
    house = parts(configuration, engines)
    applying = _applying(house, engines, part)
    forwarding = forwarding_of(part, configuration, engines)

    async def ready() -> str | None:
        if server.leaving.begun:
            return "The process is about to leave."
        return forwarding.trouble() or await applying.trouble()

    application = Application(
        Below(
            house.access,
            house.limits,
            house.ingest,
            house.query,
            house.quarantine,
            house.receipts,
            house.keys,
            engines.metrics,
            engines.traces,
        ),
        engines.clock,
        engines.entropy,
        configuration,
        ready,
        forwarding.routes(part.routes),
        Vouchers(engines.secret, engines.clock) if part.vouched else None,
    )
    server = Server(application, configuration)
    follow_server(engines.metrics, server)
    follow_backlog(engines.metrics, house.backlog)
    follow_fleets(engines.metrics, forwarding)
    loop_lag = LoopLag(engines.metrics.loop_lag_seconds.of("requests"))
    loop_lag.start()
    if part.needs.log:
        # Before anything is acknowledged: a log that the worker would refuse takes no writes.
        await starts(engines.log, engines.store, list(await engines.log.bounds()))
        await house.backlog.start()
    if not part.vouched:
        house.authentication.start()
        house.sharing.start()
    await forwarding.start()

    def stop(reason: str) -> None:
        house.backlog.refuse(reason)
        if part.applies:
            server.stop()

    applying.start(stop)
    new_key = engines.admin_key if engines.new_admin_key else None
    well = False
    try:
        await server.run(lambda url: announce(url, new_key, configuration.data))
    finally:
        loop_lag.stop()
        await house.authentication.close()
        await forwarding.close()
        await house.backlog.close()
        await house.sharing.close()
        well = await applying.stop()
        await close(engines)
    return 0 if well else 1


def _applying(house: Parts, engines: Engines, part: Part) -> Applying:
    if part.applies:
        return WorkerHere(house.worker, engines)
    return WorkersElsewhere(engines) if part.needs.log else NothingToApply()


def apply(configuration: Configuration, announce: AnnounceWorker) -> int:
    """Run a worker alone until SIGTERM or SIGINT; returns the exit code.

    Raises `ConfigurationError` where the configuration cannot work, `LogDiverged`.
    """
    _configure_logs(configuration)
    check_shared(configuration)
    engines = open_engines(configuration, needs=Needs(secret=False), role="worker")
    return uvloop.run(_apply(configuration, engines, announce))


async def _apply(configuration: Configuration, engines: Engines, announce: AnnounceWorker) -> int:
    stop = asyncio.Event()
    house = parts(configuration, engines)
    try:
        async with answering(house, engines, configuration, stop) as url:
            announce(url)
            await work(house.worker, engines, stop)
    finally:
        await close(engines)
    return 0


def _configure_logs(configuration: Configuration) -> None:
    configure(configuration.log_level, tracing.current_id() if configuration.traces else None)


def parts(configuration: Configuration, engines: Engines) -> Parts:
    """The services and the worker on these engines."""
    worker = _worker(configuration, observed(engines, "worker"))
    engines = observed(engines, "requests")
    receipts = Receipts(engines.secret)
    backlog = Backlog(engines.log, engines.store, engines.clock, configuration.backlog_ms)
    limits = Limits(_granted(configuration), engines.secret)
    known = KnownKeys(engines.keyring, engines.clock)
    tokens = _tokens(configuration, engines)
    follow_credentials(engines.metrics, known, tokens)
    authentication = Authentication(engines.admin_key, known, tokens, engines.clock)
    return Parts(
        authentication=authentication,
        access=Access(authentication, engines.catalog, engines.clock),
        keys=KeyKeeping(engines.keyring, known, engines.clock, engines.entropy),
        limits=limits,
        sharing=Sharing(limits, engines.cache, engines.clock),
        ingest=Ingest(
            engines.log,
            backlog,
            Idempotency(engines.cache, engines.clock, configuration.idempotency_ms),
            receipts,
            engines.clock,
            engines.entropy,
            configuration.max_record_bytes,
            BulkPace(configuration.bulk_lag_ms / 1000, configuration.idle_ms / 1000),
        ),
        query=_query(configuration, engines),
        receipts=receipts,
        backlog=backlog,
        quarantine=_quarantine(configuration, engines),
        worker=worker,
    )


def _tokens(configuration: Configuration, engines: Engines) -> Tokens | None:
    issuer, audience = configuration.oidc_issuer, configuration.oidc_audience
    if engines.issuer is None or issuer is None or audience is None:
        return None
    names = ClaimNames(configuration.oidc_tenant_claim, configuration.oidc_scopes_claim)
    rules = TokenRules(issuer, audience, names, configuration.oidc_leeway_ms)
    return Tokens(engines.issuer, rules, engines.clock)


def _granted(configuration: Configuration) -> Granted:
    return Granted(
        Rate(configuration.key_requests_per_second, configuration.key_bytes_per_second),
        Rate(configuration.tenant_requests_per_second, configuration.tenant_bytes_per_second),
        max(configuration.max_body_bytes, configuration.max_line_bytes),
    )


def _query(configuration: Configuration, engines: Engines) -> Query:
    limits = QueryLimits(
        configuration.scan_records, configuration.scans_at_once, configuration.slow_query_ms / 1000
    )
    return Query(
        engines.store,
        engines.cache,
        engines.clock,
        engines.entropy,
        engines.secret,
        limits,
        engines.metrics,
    )


def _record_limits(configuration: Configuration) -> RecordLimits:
    # A tombstone that went before the operation ids on it would let a repetition bring it back.
    keep_ms = max(configuration.log_retention_ms, CLIENT_RETENTION_MS) + _KEEP_MARGIN_MS
    return RecordLimits(configuration.max_record_bytes, keep_ms)


def _quarantine(configuration: Configuration, engines: Engines) -> Quarantine:
    rulebook = Rulebook(engines.catalog)
    refresh = Refresh(engines.cache, rulebook, engines.clock)
    return Quarantine(engines.store, rulebook, refresh, _record_limits(configuration))


def _worker(configuration: Configuration, engines: Engines) -> Worker:
    rulebook = Rulebook(engines.worker_catalog)
    return Worker(
        engines.log,
        engines.worker_store,
        Persist(
            engines.worker_store, rulebook, _record_limits(configuration), Burst(engines.clock)
        ),
        Refresh(engines.worker_cache, rulebook, engines.clock),
        Housekeeping(
            engines.log,
            engines.worker_store,
            engines.worker_catalog,
            engines.clock,
            configuration.log_retention_ms,
        ),
        Indexing(engines.worker_store, engines.worker_catalog, engines.clock),
        Observed(engines.metrics, engines.traces, engines.clock),
        configuration.apply_entries,
    )
