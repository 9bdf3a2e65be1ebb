"""What is told of slices that are applied: how many, how long, what came of them, and a span."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.ports.clock import Clock
from penstock.ports.log import Slice
from penstock.records.outcome import Result, Results
from penstock.telemetry.metrics import Metrics

if TYPE_CHECKING:  # loaded only where traces are asked for
    from penstock.telemetry.traces import Traces


class Observed:
    """Counts what a worker applies, and traces it where it was traced from the start."""

    def __init__(self, metrics: Metrics, traces: Traces | None, clock: Clock) -> None:
        self._clock = clock
        self._traces = traces
        self._sizes = metrics.slice_entries.of()
        self._seconds = metrics.slice_seconds.of()
        self._put_off = metrics.slices_put_off.of()
        self._entries = {one: metrics.entries.of(one.value) for one in Result}

    @contextmanager
    def applying(self, slices: Sequence[Slice]) -> Iterator[None]:
        """Around all that is done to apply them."""
        began = self._clock.monotonic()
        if self._traces is None:
            yield
        else:
            traceparents = (entry.operation.trace for one in slices for entry in one.entries)
            with self._traces.apply(traceparents, _count(slices)):
                yield
        self._seconds.note(self._clock.monotonic() - began)

    def put_off(self) -> None:
        """The store did not take them; they are repeated."""
        self._put_off.add()

    def applied(self, slices: Sequence[Slice], results: Results) -> None:
        """The store has taken them."""
        count = _count(slices)
        self._sizes.note(count)
        for result, others in Counter(results.values()).items():
            self._entries[result].add(others)
        self._entries[Result.APPLIED].add(count - len(results))


def _count(slices: Sequence[Slice]) -> int:
    return sum(len(one.entries) for one in slices)
