"""Configuration -> what each engine that it names is like, and whether it will do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Final, NamedTuple

from penstock.config.settings import Configuration
from penstock.ports.check import Check, Finding, failure, ok, warning
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy
from penstock.records.operation import CLIENT_RETENTION_MS
from penstock.wiring.driver import driver
from penstock.wiring.engines import revealed

_LIMIT_S: Final = 60.0
"""For all that is asked of one engine: longer than all its steps may take."""


class Checked(NamedTuple):
    """What was found of one engine, or of the settings."""

    engine: str
    findings: list[Finding]


async def check(configuration: Configuration, limit_s: float = _LIMIT_S) -> list[Checked]:
    """Everything there is to say, the settings first; the engines are looked at side by side.

    Args:
        configuration: names the engines.
        limit_s: after which an engine has failed, in seconds.

    Raises `ConfigurationError` for an address that is none, and for a driver that is missing.
    """
    chosen = dict(_chosen(configuration))
    found = await asyncio.gather(*(_within(limit_s, one) for one in chosen.values()))
    engines = [Checked(name, one) for name, one in zip(chosen, found, strict=True)]
    return [Checked("settings", list(_settings(configuration))), *engines]


async def _within(limit_s: float, check: Check) -> list[Finding]:
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(limit_s), aclosing(check.findings()) as found:
            async for one in found:
                findings.append(one)  # noqa: PERF401  # what was found in time is kept
    except TimeoutError:
        problem = "It hangs, or what is between it and us does: see its log, and the network."
        findings.append(failure("answering", f"not done within {limit_s:.0f} s", problem))
    return findings


def _chosen(configuration: Configuration) -> Iterator[tuple[str, Check]]:
    """The engines by name, each with its check."""
    from penstock.adapters.embedded.check import EmbeddedCheck
    from penstock.adapters.embedded.clock import SystemClock
    from penstock.adapters.embedded.entropy import SystemEntropy

    clock, entropy = SystemClock(), SystemEntropy()
    if not _is_shared(configuration):
        yield "embedded", EmbeddedCheck(configuration.data, clock)
    log_url = revealed(configuration.log_url)
    if log_url is not None:
        yield "kafka", _kafka(log_url, configuration, clock, entropy)
    store_url = revealed(configuration.store_url)
    if store_url is not None:
        with driver("PENSTOCK_STORE_URL", "mongodb"):
            from penstock.adapters.mongodb.check import MongoCheck
        name, largest = configuration.store_name, configuration.max_record_bytes
        yield "mongodb", MongoCheck(store_url, name, largest, clock, entropy)
    cache_url = revealed(configuration.cache_url)
    if cache_url is not None:
        with driver("PENSTOCK_CACHE_URL", "redis"):
            from penstock.adapters.redis.check import RedisCheck
        timeout_s = configuration.cache_timeout_ms / 1000
        yield "redis", RedisCheck(cache_url, timeout_s, clock, entropy)


def _kafka(url: str, configuration: Configuration, clock: Clock, entropy: Entropy) -> Check:
    with driver("PENSTOCK_LOG_URL", "kafka"):
        from penstock.adapters.kafka.address import settings_of
        from penstock.adapters.kafka.check import KafkaCheck, Wanted
    wanted = Wanted(
        configuration.log_name,
        configuration.log_partitions,
        configuration.log_retention_ms,
        configuration.log_group_protocol,
        _largest_entry(configuration),
    )
    return KafkaCheck(settings_of(url), wanted, clock, entropy)


def _settings(configuration: Configuration) -> Iterator[Finding]:
    """Whether the settings agree with one another."""
    yield _engines(configuration)
    yield _keys(configuration)
    yield _retention(configuration)
    yield _sizes(configuration)


def _engines(configuration: Configuration) -> Finding:
    names = {
        "log": "Kafka" if configuration.log_url else "embedded",
        "store": "MongoDB" if configuration.store_url else "embedded",
        "cache": "Redis" if configuration.cache_url else "this process's memory",
    }
    found = ", ".join(f"{part}: {engine}" for part, engine in names.items())
    if _is_shared(configuration) and not configuration.cache_url:
        problem = (
            "Where there are several processes, each has a cache that the workers do not keep "
            "up to date, and a repeated Idempotency-Key is known to one only: set "
            "PENSTOCK_CACHE_URL."
        )
        return warning("engines", found, problem)
    return ok("engines", found)


def _keys(configuration: Configuration) -> Finding:
    from penstock.adapters.embedded.directory import checked_admin_key, checked_secret

    secret, admin_key = revealed(configuration.secret), revealed(configuration.admin_key)
    if secret is not None:
        checked_secret(secret)
    if admin_key is not None:
        checked_admin_key(admin_key)
    given = {"PENSTOCK_SECRET": secret, "PENSTOCK_ADMIN_KEY": admin_key}
    missing = [name for name, value in given.items() if value is None]
    if not missing:
        return ok("keys", "given")
    found = f"{' and '.join(missing)}: kept in {configuration.data}, made at the first start"
    if not _is_shared(configuration):
        return ok("keys", found)
    problem = (
        "Where there are several processes, each would make its own, and refuse the receipts and "
        "keys of the others: give all of them the same."
    )
    return warning("keys", found, problem)


def _retention(configuration: Configuration) -> Finding:
    kept_ms, backlog_ms = configuration.log_retention_ms, configuration.backlog_ms
    found = f"the log keeps {kept_ms} ms; writes are refused {backlog_ms} ms behind"
    if backlog_ms > kept_ms:
        problem = (
            "Writes are taken for longer than the log keeps what is not applied: make "
            "PENSTOCK_LOG_RETENTION_MS larger than PENSTOCK_BACKLOG_MS."
        )
        return failure("retention", found, problem)
    if configuration.idempotency_ms > CLIENT_RETENTION_MS:
        problem = (
            f"Workers know a repeated operation for {CLIENT_RETENTION_MS} ms: set "
            "PENSTOCK_IDEMPOTENCY_MS to no more."
        )
        return warning(
            "retention", f"Idempotency-Keys for {configuration.idempotency_ms} ms", problem
        )
    return ok("retention", found)


def _sizes(configuration: Configuration) -> Finding:
    largest, most = _largest_entry(configuration), configuration.max_record_bytes
    found = f"operations of up to {largest} bytes, records of up to {most}"
    if largest < most:
        problem = (
            "No write is large enough to make the largest record but by patches: let "
            "PENSTOCK_MAX_BODY_BYTES be at least PENSTOCK_MAX_RECORD_BYTES."
        )
        return warning("size limits", found, problem)
    return ok("size limits", found)


def _largest_entry(configuration: Configuration) -> int:
    return max(configuration.max_body_bytes, configuration.max_line_bytes)


def _is_shared(configuration: Configuration) -> bool:
    """Whether log and store are servers, so that several processes can stand on them."""
    return bool(configuration.log_url and configuration.store_url)
