"""Parts -> a process that runs them, from its start to its end."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from penstock.access.voucher import Vouchers
from penstock.api.app import Application
from penstock.api.route import Role
from penstock.api.server import Server
from penstock.apply.guard import starts
from penstock.config.settings import Configuration
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
    follow_fleets,
    follow_server,
)
from penstock.wiring.parts import Parts, below, parts
from penstock.wiring.probing import answering
from penstock.wiring.roles import Part, check_budgets, check_shared, forwarding_of, part_of

Announce = Callable[[str, str | None, Path], None]
"""Told, once requests are taken: the address, the admin key if it was made just now, the data."""

AnnounceWorker = Callable[[str | None], None]
"""Told that a worker begins, and the address at which it answers, if it does."""

_SWITCH_INTERVAL_S: Final = 0.001
_COLLECT_EVERY: Final = (50_000, 20, 50)


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
        below(house, engines),
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
