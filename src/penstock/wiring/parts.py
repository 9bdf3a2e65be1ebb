"""Engines -> the parts of the house, put together."""

from __future__ import annotations

from typing import Final, NamedTuple

from penstock.access.access import Access
from penstock.access.authentication import Authentication
from penstock.access.claims import ClaimNames
from penstock.access.keeping import KeyKeeping
from penstock.access.keys import KnownKeys
from penstock.access.limits import Granted, Limits
from penstock.access.sharing import Sharing
from penstock.access.tokens import TokenRules, Tokens
from penstock.api.services import Below
from penstock.apply.aside import Burst
from penstock.apply.fold import Limits as RecordLimits
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
from penstock.wiring.engines import Engines
from penstock.wiring.observing import (
    follow_credentials,
    observed,
)

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


def below(house: Parts, engines: Engines) -> Below:
    """The parts, as the API works with them."""
    return Below(
        house.access,
        house.limits,
        house.ingest,
        house.query,
        house.quarantine,
        house.receipts,
        house.keys,
        engines.metrics,
        engines.traces,
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
