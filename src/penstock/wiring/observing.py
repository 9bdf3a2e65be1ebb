"""Engines -> the same engines, with all their calls counted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from penstock.access.keys import KnownKeys
from penstock.access.tokens import Tokens
from penstock.api.forward import Forwarding
from penstock.api.server import Server
from penstock.ingest.backlog import Backlog
from penstock.ports.catalog import Catalog
from penstock.ports.issuer import Issuer
from penstock.ports.keyring import Keyring
from penstock.telemetry.metrics import Metrics

if TYPE_CHECKING:  # these are made of it
    from penstock.wiring.engines import Engines


def observed(engines: Engines, caller: str) -> Engines:
    """Stand-ins for all engines; to be closed are those that they stand for.

    Args:
        engines: as they were opened.
        caller: whose calls they are to be, `requests` or `worker`; see `telemetry.metrics`.
    """
    from penstock.adapters.observed import cache, log, store
    from penstock.adapters.observed.timed import Meter, Timed

    def meter(engine: str) -> Meter:
        return Meter(engines.metrics, engine, caller, engines.clock)

    stores, caches, catalogs = meter("store"), meter("cache"), meter("catalog")
    issuer = engines.issuer
    return engines._replace(
        log=log.observed(engines.log, meter("log"), engines.traces),
        store=store.observed(engines.store, stores),
        cache=cache.observed(engines.cache, caches),
        catalog=cast("Catalog", Timed(engines.catalog, catalogs)),
        keyring=cast("Keyring", Timed(engines.keyring, meter("keyring"))),
        issuer=issuer and cast("Issuer", Timed(issuer, meter("issuer"))),
        worker_store=store.observed(engines.worker_store, stores),
        worker_catalog=cast("Catalog", Timed(engines.worker_catalog, catalogs)),
        worker_cache=cache.observed(engines.worker_cache, caches),
    )


def follow_server(metrics: Metrics, server: Server) -> None:
    """What stands in the parts is read when it is asked for; so do those below."""
    metrics.connections.of(metrics.role).follow(lambda: server.connections)


def follow_backlog(metrics: Metrics, backlog: Backlog) -> None:
    metrics.backlog_seconds.of().follow(lambda: backlog.lag)
    metrics.backlog_entries.of().follow(lambda: backlog.entries)


def follow_credentials(metrics: Metrics, keys: KnownKeys, tokens: Tokens | None) -> None:
    metrics.known_credentials.of("key").follow(lambda: keys.count)
    metrics.revocations_wait.of().follow(lambda: not keys.is_reached)
    if tokens is not None:
        metrics.known_credentials.of("token").follow(lambda: tokens.count)


def follow_fleets(metrics: Metrics, forwarding: Forwarding) -> None:
    for role, fleet in forwarding.fleets.items():
        metrics.upstreams.of(role, "known").follow(partial(fleet.count, usable=False))
        metrics.upstreams.of(role, "usable").follow(partial(fleet.count, usable=True))
        metrics.upstream_requests.of(role).follow(fleet.in_flight)
        metrics.hedged.of(role).follow(partial(forwarding.hedged, role))


class CacheCalls:
    """What becomes of the calls of a cache that may be away."""

    def __init__(self, metrics: Metrics, caller: str) -> None:
        self._results = {
            result: metrics.cache_calls.of(caller, result)
            for result in ("answered", "failed", "left_out")
        }
        self._left_alone = metrics.cache_left_alone.of(caller)

    def __call__(self, result: str) -> None:
        self._results[result].add()
        if result != "failed":
            self._left_alone.set(result == "left_out")
