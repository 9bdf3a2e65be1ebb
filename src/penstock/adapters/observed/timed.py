"""Stand-ins for the engines' adapters that take the time of every call, and count what failed."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from penstock.errors import Unavailable
from penstock.ports.clock import Clock
from penstock.telemetry.metrics import Metrics
from penstock.telemetry.series import Counter, Histogram

Call = Callable[..., Awaitable[Any]]


class Meter:
    """Where the calls of one engine by one caller are counted.

    Args:
        metrics: all there are.
        engine, caller: label values.
        clock: for durations.
    """

    def __init__(self, metrics: Metrics, engine: str, caller: str, clock: Clock) -> None:
        self.metrics = metrics
        self.monotonic = clock.monotonic
        self._engine = engine
        self._caller = caller

    def seconds(self, operation: str) -> Histogram:
        return self.metrics.engine_seconds.of(self._engine, self._caller, operation)

    def failures(self, operation: str) -> Counter:
        return self.metrics.failures.of(self._engine, self._caller, operation)


class Timed:
    """A port whose methods that are coroutines are timed; all else is as it is.

    A method is wrapped when it is first called: after that, it costs half a microsecond a call.
    """

    def __init__(self, inner: Any, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if inspect.iscoroutinefunction(found):
            found = timed(found, self._meter.seconds(name), self._meter)
            setattr(self, name, found)
        return found


def timed(call: Call, seconds: Histogram, meter: Meter) -> Call:
    """The same call, timed; its failures are counted."""
    monotonic, failures = meter.monotonic, meter.failures(call.__name__)

    async def run(*arguments: Any, **named: Any) -> Any:
        began = monotonic()
        try:
            return await call(*arguments, **named)
        except Unavailable:
            failures.add()
            raise
        finally:
            seconds.note(monotonic() - began)

    return run
