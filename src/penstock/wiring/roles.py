"""A role -> what its process does itself, what it needs for that, and what it passes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from penstock.access.voucher import Vouchers
from penstock.api.forward import Fleet, Forwarding, places
from penstock.api.route import Role, Route
from penstock.api.routes import ROUTES, routes_of
from penstock.config.settings import Configuration
from penstock.errors import ConfigurationError
from penstock.wiring.engines import EVERYTHING, Engines, Needs


class Part(NamedTuple):
    """What a process does.

    Attributes:
        role: as it is called.
        routes: what it takes.
        needs: of the engines.
        applies: whether a worker runs in it.
        vouched: whether requests come to it from an API process only.
        passes_on: the setting, and the addresses, of each service that it passes requests on to.
    """

    role: str
    routes: Sequence[Route]
    needs: Needs
    applies: bool = False
    vouched: bool = False
    passes_on: dict[Role, tuple[str, str]] = {}  # noqa: RUF012  # a NamedTuple's default, never changed


def part_of(role: Role | None, configuration: Configuration) -> Part:
    """What a process of a role does; None for one that does everything.

    Raises `ConfigurationError` where it would need what is not configured.
    """
    if role is None:
        return Part("serve", ROUTES, EVERYTHING, applies=True)
    if role is Role.QUERY:
        _check_store(configuration)
        needs = Needs(log=False, keys=False, shared_secret=True)
        return Part(role, routes_of(role), needs, vouched=True)
    if role is Role.INGEST:
        check_shared(configuration)
        needs = Needs(keys=False, shared_secret=True)
        return Part(role, routes_of(role), needs, vouched=True)
    given = {
        Role.INGEST: ("PENSTOCK_INGEST_URLS", configuration.ingest_urls),
        Role.QUERY: ("PENSTOCK_QUERY_URLS", configuration.query_urls),
    }
    passes_on = {one: (name, urls) for one, (name, urls) in given.items() if urls}
    if Role.INGEST in passes_on:
        _check_store(configuration)
    else:
        check_shared(configuration)
    needs = Needs(log=Role.INGEST not in passes_on, shared_secret=bool(passes_on))
    return Part(role, ROUTES, needs, passes_on=passes_on)


def forwarding_of(part: Part, configuration: Configuration, engines: Engines) -> Forwarding:
    """What passes requests on; nothing where all is served here. Raises `ConfigurationError`."""
    fleets = {
        role: Fleet(
            role.value,
            places(setting, urls),
            configuration.idle_ms / 1000,
            engines.clock,
            engines.entropy,
        )
        for role, (setting, urls) in part.passes_on.items()
    }
    return Forwarding(fleets, Vouchers(engines.secret, engines.clock), engines.clock)


def check_budgets(configuration: Configuration) -> None:
    """Raise where what is acknowledged could be lost, or what is allowed could never be taken."""
    if configuration.backlog_ms > configuration.log_retention_ms:
        raise ConfigurationError(
            "Writes would be acknowledged for longer than the log keeps what is not applied: "
            "PENSTOCK_BACKLOG_MS is at most PENSTOCK_LOG_RETENTION_MS."
        )
    if configuration.ingest_bytes < configuration.max_body_bytes:
        raise ConfigurationError(
            "The largest body would never fit: "
            "PENSTOCK_INGEST_BYTES is at least PENSTOCK_MAX_BODY_BYTES."
        )


def check_shared(configuration: Configuration) -> None:
    """Raise where those who write and those who apply could not be different processes."""
    if not configuration.log_url or not configuration.store_url:
        raise ConfigurationError(
            "A process of one role alone shares its engines with others: set PENSTOCK_LOG_URL and "
            "PENSTOCK_STORE_URL, or run all in one by `penstock serve`."
        )


def _check_store(configuration: Configuration) -> None:
    if not configuration.store_url:
        raise ConfigurationError(
            "A process of one role alone shares its engines with others: set PENSTOCK_STORE_URL, "
            "or run all in one by `penstock serve`."
        )
