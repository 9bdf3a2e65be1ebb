"""Configuration -> traces, or nothing at all: without them, OpenTelemetry is not loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock import __version__
from penstock.config.settings import Configuration
from penstock.wiring.driver import driver

if TYPE_CHECKING:
    from penstock.telemetry.traces import Traces


def opened(configuration: Configuration, role: str) -> Traces | None:
    """The traces of this process; None where none are asked for.

    Raises `ConfigurationError` where OpenTelemetry is not installed.
    """
    return _traces()(role, __version__) if configuration.traces else None


def current_id() -> Callable[[], str | None]:
    """What tells the id of the trace around. Raises as `opened` does."""
    return _traces().current_id


def _traces() -> type[Traces]:
    with driver("PENSTOCK_TRACES", "traces"):
        from penstock.telemetry.traces import Traces
    return Traces
