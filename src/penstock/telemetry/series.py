"""The cells that are counted in, and how Prometheus finds them.

The client's own counters take a lock at each step, a microsecond; a request would pay for four of
them. These are plain attributes, and the work is done when they are scraped. A cell may be read by
any thread, and is moved by one: where two threads count, each has a label value of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import ClassVar, Final, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Bounds around the half second in which everything is answered."""

COUNTS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)
"""Bounds of how many there are in a batch."""


class _Number:
    """What was counted here, and what is worked out when it is asked for."""

    __slots__ = ("_read", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self._read: Callable[[], float] | None = None

    def follow(self, read: Callable[[], float]) -> None:
        """Have it worked out, on whatever thread scrapes; it comes on top."""
        self._read = read

    def now(self) -> float:
        return self.value if self._read is None else self.value + self._read()


class Counter(_Number):
    """A number that only rises."""

    __slots__ = ()

    def add(self, amount: float = 1) -> None:
        self.value += amount


class Gauge(_Number):
    """A number that rises and falls."""

    __slots__ = ()

    def set(self, value: float) -> None:
        self.value = value


class Histogram:
    """How many values came, how large they were, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def note(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


S = TypeVar("S", Counter, Gauge, Histogram)


class Family(Generic[S]):
    """A metric: its cells by the values of its labels.

    Attributes:
        kind: as Prometheus calls it.
        name: a counter's samples have `_total` behind it.
        description: a sentence.
        labels: their names.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, description: str, *labels: str) -> None:
        self.name = name
        self.description = description
        self.labels = labels
        self._cells: dict[tuple[str, ...], S] = {}

    def of(self, *values: str) -> S:
        """The cell with these label values, to be kept by who counts: finding it takes longer."""
        cell = self._cells.get(values)
        if cell is None:
            if len(values) != len(self.labels):
                raise ValueError(f"{self.name} has the labels {self.labels}, and got {values}")
            cell = self._cells.setdefault(values, self._make())
        return cell

    def scraped(self) -> Metric:
        """All cells, as Prometheus's client wants them."""
        raise NotImplementedError

    def _make(self) -> S:
        raise NotImplementedError

    def _all(self) -> list[tuple[tuple[str, ...], S]]:
        return list(self._cells.items())


class Counters(Family[Counter]):
    """See `Counter`."""

    kind = "counter"

    def _make(self) -> Counter:
        return Counter()

    def scraped(self) -> Metric:
        found = CounterMetricFamily(self.name, self.description, labels=self.labels)
        for values, cell in self._all():
            found.add_metric(values, cell.now())
        return found


class Gauges(Family[Gauge]):
    """See `Gauge`."""

    kind = "gauge"

    def _make(self) -> Gauge:
        return Gauge()

    def scraped(self) -> Metric:
        found = GaugeMetricFamily(self.name, self.description, labels=self.labels)
        for values, cell in self._all():
            found.add_metric(values, cell.now())
        return found


class Histograms(Family[Histogram]):
    """See `Histogram`; `bounds` are those of its buckets."""

    kind = "histogram"

    def __init__(
        self, name: str, description: str, *labels: str, bounds: Sequence[float] = SECONDS
    ) -> None:
        super().__init__(name, description, *labels)
        self.bounds = tuple(bounds)

    def _make(self) -> Histogram:
        return Histogram(self.bounds)

    def scraped(self) -> Metric:
        found = HistogramMetricFamily(self.name, self.description, labels=self.labels)
        bounds = [*map(floatToGoString, self.bounds), "+Inf"]
        for values, cell in self._all():
            reached = accumulate(list(cell.counts))
            found.add_metric(values, list(zip(bounds, reached, strict=True)), cell.total)
        return found


AnyFamily = Counters | Gauges | Histograms


class Cells(Collector):
    """Hands these families to Prometheus's client."""

    def __init__(self, families: Iterable[AnyFamily]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterator[Metric]:
        return (one.scraped() for one in self._families)
