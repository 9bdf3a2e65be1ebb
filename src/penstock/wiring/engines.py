"""Configuration -> engines. The only importer of adapters, each where it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import SecretStr

from penstock import __version__
from penstock.config.settings import Configuration
from penstock.errors import ConfigurationError, Unavailable
from penstock.ports.cache import Cache
from penstock.ports.catalog import Catalog
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy
from penstock.ports.issuer import Issuer
from penstock.ports.keyring import Keyring
from penstock.ports.log import Log
from penstock.ports.store import Store
from penstock.telemetry.metrics import Metrics
from penstock.wiring import tracing
from penstock.wiring.driver import driver
from penstock.wiring.observing import CacheCalls

if TYPE_CHECKING:  # loaded only where traces are asked for
    from penstock.telemetry.traces import Traces


class Engines(NamedTuple):
    """The adapters that were chosen, and what all parts share.

    Attributes:
        issuer: of tokens; None where none are taken.
        worker_store, worker_catalog, worker_cache: the same, for the worker's event loop, since
            connections belong to one. For engines without connections, the very same.
        metrics: of this process.
        traces: None where none are asked for.
        release: lets go of the data directory.
    """

    log: Log
    store: Store
    cache: Cache
    catalog: Catalog
    keyring: Keyring
    issuer: Issuer | None
    worker_store: Store
    worker_catalog: Catalog
    worker_cache: Cache
    clock: Clock
    entropy: Entropy
    secret: bytes
    admin_key: str
    new_admin_key: bool
    metrics: Metrics
    traces: Traces | None
    release: Callable[[], None]


class Needs(NamedTuple):
    """What a process cannot do without; all of it, if nothing else is said.

    Attributes:
        log: it writes or applies; reading needs none.
        secret: it signs, or reads what was signed.
        keys: clients come to it with their keys.
        shared_secret: others must be able to read what it signs.
    """

    log: bool = True
    secret: bool = True
    keys: bool = True
    shared_secret: bool = False


EVERYTHING: Final = Needs()


def open_engines(
    configuration: Configuration,
    clock: Clock | None = None,
    needs: Needs = EVERYTHING,
    role: str = "serve",
) -> Engines:
    """The engines that the configuration names; embedded ones where it names none.

    Args:
        configuration: names them.
        clock: another than the system's.
        needs: of this process.
        role: of it, as its metrics and traces say.

    The data directory is locked until `close`; where nothing is kept in it, it is not made. Raises
    `ConfigurationError` where an engine cannot be used, or is in use.
    """
    from penstock.adapters.embedded.absent import AbsentLog
    from penstock.adapters.embedded.clock import SystemClock
    from penstock.adapters.embedded.database import opening
    from penstock.adapters.embedded.entropy import SystemEntropy

    clock = clock or SystemClock()
    entropy = SystemEntropy()
    metrics, traces = Metrics(role, __version__), tracing.opened(configuration, role)
    keys = _keys(configuration, entropy, needs)
    with opening(configuration.data):
        store, catalog = stored = _open_store(configuration, clock, entropy)
        worker_stored = (
            _open_store(configuration, clock, entropy) if configuration.store_url else stored
        )
        cache = _open_cache(configuration, clock, entropy, metrics, "requests")
        return Engines(
            log=_open_log(configuration, clock, entropy, metrics) if needs.log else AbsentLog(),
            store=store,
            cache=cache,
            catalog=catalog,
            keyring=_open_keyring(configuration),
            issuer=_open_issuer(configuration),
            worker_store=worker_stored[0],
            worker_catalog=worker_stored[1],
            worker_cache=(
                _open_cache(configuration, clock, entropy, metrics, "worker")
                if configuration.cache_url
                else cache
            ),
            clock=clock,
            entropy=entropy,
            secret=keys.secret,
            admin_key=keys.admin_key,
            new_admin_key=keys.new_admin_key,
            metrics=metrics,
            traces=traces,
            release=keys.release,
        )


class _Keys(NamedTuple):
    secret: bytes
    admin_key: str
    new_admin_key: bool
    release: Callable[[], None]


def _keys(configuration: Configuration, entropy: Entropy, needs: Needs) -> _Keys:
    """The keys as they are given, else as they are kept in the data directory."""
    from penstock.adapters.embedded import directory

    secret, admin_key = revealed(configuration.secret), revealed(configuration.admin_key)
    if not needs.secret:
        return _Keys(b"", "", False, _nothing)
    if needs.shared_secret and secret is None:
        raise ConfigurationError(
            "What our processes tell each other is signed: set PENSTOCK_SECRET, the same for all."
        )
    if not needs.keys:
        return _Keys(directory.checked_secret(secret or ""), "", False, _nothing)
    is_shared = configuration.store_url and (configuration.log_url or not needs.log)
    if is_shared and secret is not None and admin_key is not None:
        given = directory.checked_secret(secret), directory.checked_admin_key(admin_key)
        return _Keys(*given, False, _nothing)
    kept = directory.DataDirectory(configuration.data)
    signing = kept.secret(secret, entropy)
    return _Keys(signing, *kept.admin_key(admin_key, entropy), kept.release)


def _nothing() -> None:
    """There is no data directory to let go of."""


def _open_log(
    configuration: Configuration, clock: Clock, entropy: Entropy, metrics: Metrics
) -> Log:
    appended = metrics.append_entries.of().note
    url = revealed(configuration.log_url)
    if url is None:
        from penstock.adapters.embedded.log import EmbeddedLog

        return EmbeddedLog(configuration.data / "log.db", clock, entropy, appended)
    with driver("PENSTOCK_LOG_URL", "kafka"):
        from penstock.adapters.kafka.address import settings_of
        from penstock.adapters.kafka.log import KafkaLog
    try:
        return KafkaLog(
            settings_of(url),
            configuration.log_name,
            configuration.log_partitions,
            configuration.deadline_ms,
            configuration.log_retention_ms,
            configuration.log_group_protocol,
            clock,
            appended,
        )
    except Unavailable as error:
        raise ConfigurationError(f"PENSTOCK_LOG_URL cannot be used: {error.internal}") from error


def _open_store(
    configuration: Configuration, clock: Clock, entropy: Entropy
) -> tuple[Store, Catalog]:
    url = revealed(configuration.store_url)
    if url is None:
        from penstock.adapters.embedded.catalog import EmbeddedCatalog
        from penstock.adapters.embedded.store import EmbeddedStore

        store = EmbeddedStore(configuration.data / "store.db", clock)
        return store, EmbeddedCatalog(configuration.data / "catalog.db", entropy)
    with driver("PENSTOCK_STORE_URL", "mongodb"):
        from penstock.adapters.mongodb.catalog import MongoCatalog
        from penstock.adapters.mongodb.store import MongoStore
    name = configuration.store_name
    return MongoStore(url, name), MongoCatalog(url, name, entropy)


def _open_keyring(configuration: Configuration) -> Keyring:
    url = revealed(configuration.store_url)
    if url is None:
        from penstock.adapters.embedded.keyring import EmbeddedKeyring

        return EmbeddedKeyring(configuration.data / "keys.db")
    with driver("PENSTOCK_STORE_URL", "mongodb"):
        from penstock.adapters.mongodb.keyring import MongoKeyring
    return MongoKeyring(url, configuration.store_name)


def _open_issuer(configuration: Configuration) -> Issuer | None:
    issuer, keys = configuration.oidc_issuer, configuration.oidc_jwks
    if issuer is None:
        return None
    if configuration.oidc_audience is None:
        raise ConfigurationError("PENSTOCK_OIDC_ISSUER needs PENSTOCK_OIDC_AUDIENCE.")
    if keys is not None and "://" not in keys:
        from penstock.adapters.embedded.issuer import FileIssuer

        return FileIssuer(Path(keys))
    from penstock.adapters.oidc.issuer import WebIssuer

    return WebIssuer(issuer, keys)


def _open_cache(
    configuration: Configuration, clock: Clock, entropy: Entropy, metrics: Metrics, caller: str
) -> Cache:
    url = revealed(configuration.cache_url)
    if url is None:
        from penstock.adapters.embedded.cache import MemoryCache

        return MemoryCache(configuration.cache_bytes, clock, entropy)
    with driver("PENSTOCK_CACHE_URL", "redis"):
        from penstock.adapters.redis.cache import RedisCache
    called = CacheCalls(metrics, caller)
    return RedisCache(url, configuration.cache_timeout_ms / 1000, clock, entropy, called)


def revealed(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


async def close(engines: Engines) -> None:
    """Let go of everything, the log first: it finishes what it took."""
    await engines.log.close()
    await engines.store.close()
    await engines.catalog.close()
    await engines.keyring.close()
    await engines.cache.close()
    if engines.traces is not None:
        await asyncio.to_thread(engines.traces.close)
    engines.release()
