"""Configuration -> how far the store is behind the log, asked once, beside whatever runs."""

from __future__ import annotations

from penstock.apply.lag import Lag, lags
from penstock.config.settings import Configuration
from penstock.errors import ConfigurationError
from penstock.wiring.engines import Needs, close, open_engines
from penstock.wiring.growing import generations


async def lag(configuration: Configuration) -> list[Lag]:
    """Of each partition. Raises `ConfigurationError`, `Unavailable`."""
    from penstock.adapters.embedded.clock import SystemClock

    clock = SystemClock()
    if configuration.log_url and configuration.store_url:
        if not generations(configuration):
            raise ConfigurationError("There is no log of this name: nothing has written to it yet.")
        untraced = configuration.model_copy(update={"traces": False})
        engines = open_engines(untraced, clock, Needs(secret=False))
        try:
            return await lags(engines.log, engines.store, clock)
        finally:
            await close(engines)
    if configuration.log_url or configuration.store_url:
        raise ConfigurationError(
            "Where only one of log and store is embedded, one process has both: ask its /metrics."
        )
    from penstock.adapters.embedded.glance import Glance

    glance = Glance(configuration.data)
    try:
        return await lags(glance, glance, clock)
    finally:
        glance.close()
