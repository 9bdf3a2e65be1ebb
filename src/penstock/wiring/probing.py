"""What a worker alone answers, and how it hears that it is to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from penstock.access.voucher import Vouchers
from penstock.api.app import Application
from penstock.api.routes import PROBES
from penstock.api.server import Server
from penstock.config.settings import Configuration
from penstock.wiring.engines import Engines
from penstock.wiring.observing import follow_server
from penstock.wiring.parts import Parts, below

_SECRET_BITS: Final = 256


@asynccontextmanager
async def answering(
    house: Parts, engines: Engines, configuration: Configuration, stop: asyncio.Event
) -> AsyncIterator[str | None]:
    """Answer probes, where a port is given for them, and set `stop` on SIGTERM or SIGINT.

    Gives the address. Raises `ConfigurationError` where it cannot listen.
    """
    if configuration.metrics_port is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        yield None
        return
    server = _server(house, engines, configuration)
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    # The server takes the signals, and ends; so does the worker then.
    serving = asyncio.create_task(server.run(url.set_result))
    serving.add_done_callback(lambda _: stop.set())
    first: set[asyncio.Future[Any]] = {serving, url}
    try:
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        yield await url
    finally:
        server.stop()
        await serving


def _server(house: Parts, engines: Engines, configuration: Configuration) -> Server:
    worker = house.worker

    async def ready() -> str | None:
        return None if worker.reads else "The worker does not read the log."

    application = Application(
        below(house, engines),
        engines.clock,
        engines.entropy,
        configuration,
        ready,
        routes=PROBES,
        # Of what needs a key there is nothing here, and nobody to ask about one.
        vouchers=Vouchers(engines.entropy.bits(_SECRET_BITS).to_bytes(32), engines.clock),
    )
    there = {"port": configuration.metrics_port, "drain_grace_ms": 0}
    server = Server(application, configuration.model_copy(update=there))
    follow_server(engines.metrics, server)
    return server
