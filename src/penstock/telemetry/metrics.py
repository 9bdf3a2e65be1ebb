"""All metrics there are: a closed set, each with its labels and a sentence.

`docs/metrics.md` is made from this table; a metric that nothing moves fails a test. Label values
come from closed sets of our own: routes, codes, operations of ports. Where users could make them up
(the shapes of queries), they are bounded here.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from penstock.telemetry.series import COUNTS, AnyFamily, Cells, Counters, Gauges, Histograms

_OPENMETRICS: Final = "application/openmetrics-text"
_MOST_SHAPES: Final = 100
_OTHER_SHAPES: Final = "other"

PROCESS: Final = {
    "process_virtual_memory_bytes": "Virtual memory size in bytes.",
    "process_resident_memory_bytes": "Resident memory size in bytes.",
    "process_start_time_seconds": "Start time of the process since unix epoch in seconds.",
    "process_cpu_seconds_total": "Total user and system CPU time spent in seconds.",
    "process_max_fds": "Maximum number of open file descriptors.",
    "process_open_fds": "Number of open file descriptors.",
}
"""What Prometheus's client tells of any process, where there is a /proc."""


class Metrics:
    """The metrics of one process.

    Args:
        role: what it does: serve, api, ingest, query or worker.
        version: of Penstock.

    The label `caller` says on whose behalf an engine was called: `requests` or `worker`.
    """

    def __init__(self, role: str, version: str) -> None:
        self.role = role

        self.request_seconds = Histograms(
            "penstock_request_seconds",
            "Time from the whole request to the end of its answer, or of its stream.",
            "role",
            "route",
        )
        self.answers = Counters(
            "penstock_answers",
            "Answers by the class of their status; `gone` for clients that did not wait for one.",
            "role",
            "route",
            "status",
        )
        self.problems = Counters(
            "penstock_problems",
            "Problems by their code: what was shed is `overloaded`, what was limited "
            "`quota_exceeded`.",
            "role",
            "code",
        )
        self.requests_in_flight = Gauges(
            "penstock_requests_in_flight", "Requests that are being answered.", "role"
        )
        self.connections = Gauges("penstock_connections", "Open connections of clients.", "role")
        self.shed = Counters(
            "penstock_shed", "Requests that were turned away, by their budget.", "role", "budget"
        )
        self.admitted = Gauges(
            "penstock_admitted",
            "Requests that were let in and have no answer yet, by their budget.",
            "role",
            "budget",
        )
        self.allowed = Gauges(
            "penstock_allowed", "How many may be let in at the moment.", "role", "budget"
        )
        self.bodies_bytes = Gauges(
            "penstock_bodies_bytes", "Bytes of bodies in hand: `PENSTOCK_INGEST_BYTES`.", "role"
        )
        self.bulk_lines = Counters(
            "penstock_bulk_lines", "Lines of bulk requests, `accepted` or `refused`.", "result"
        )

        self.engine_seconds = Histograms(
            "penstock_engine_seconds",
            "Time of a call of the log, store, cache, catalog, keyring or issuer of tokens; the "
            "store's `batch` is a whole transaction with what is done within it.",
            "engine",
            "caller",
            "operation",
        )
        self.failures = Counters(
            "penstock_failures",
            "Calls that an engine could not answer for the moment.",
            "engine",
            "caller",
            "operation",
        )
        self.append_entries = Histograms(
            "penstock_append_entries",
            "Entries that became durable together: one commit, or one round of Kafka's reports.",
            bounds=COUNTS,
        )
        self.read_records = Histograms(
            "penstock_read_records",
            "Records read by id in one go, from the `cache` or the `store`.",
            "source",
            bounds=COUNTS,
        )

        self.cache_reads = Counters(
            "penstock_cache_reads", "Records asked of the cache, `hit` or `miss`.", "result"
        )
        self.cache_calls = Counters(
            "penstock_cache_calls",
            "Calls of Redis: `answered`, `failed`, or `left_out` while it is left alone.",
            "caller",
            "result",
        )
        self.cache_left_alone = Gauges(
            "penstock_cache_left_alone",
            "1 while Redis is left alone because it failed again and again.",
            "caller",
        )

        self.upstreams = Gauges(
            "penstock_upstreams",
            "Processes that requests are passed on to: those `known`, and of them the `usable`.",
            "service",
            "state",
        )
        self.upstream_requests = Gauges(
            "penstock_upstream_requests", "Requests passed on that have no answer yet.", "service"
        )
        self.hedged = Counters(
            "penstock_hedged", "Reads sent a second time because the first took long.", "service"
        )

        self.known_credentials = Gauges(
            "penstock_known_credentials",
            "Keys and tokens that are known without asking anybody, by `kind`: `key` or `token`.",
            "kind",
        )
        self.revocations_wait = Gauges(
            "penstock_revocations_wait",
            "1 while the keyring cannot be reached, so that keys revoked meanwhile still count.",
        )

        self.query_seconds = Histograms(
            "penstock_query_seconds",
            "Time of a search, count or aggregate that an `index` serves, or that was a `scan`.",
            "plan",
        )
        self.queries = Counters(
            "penstock_queries",
            "Searches by the id of their shape, which the log of slow queries has beside the shape "
            f"itself; `{_OTHER_SHAPES}` for shapes after the first {_MOST_SHAPES}.",
            "shape",
        )
        self.slow_queries = Counters(
            "penstock_slow_queries", "Of these, the slow ones: `PENSTOCK_SLOW_QUERY_MS`.", "shape"
        )
        self.query_shapes = Gauges(
            "penstock_query_shapes", f"Shapes with an id of their own, at most {_MOST_SHAPES}."
        )

        self.backlog_seconds = Gauges(
            "penstock_backlog_seconds",
            "Age of the oldest entry of this process's own that is not applied yet.",
        )
        self.backlog_entries = Gauges(
            "penstock_backlog_entries",
            "Entries between the last of this process's own and what is applied, over all "
            "partitions.",
        )
        self.lag_entries = Gauges(
            "penstock_lag_entries",
            "Entries of a partition that are not applied yet.",
            "generation",
            "partition",
        )
        self.lag_seconds = Gauges(
            "penstock_lag_seconds",
            "Age of the oldest of them, at most.",
            "generation",
            "partition",
        )
        self.slice_entries = Histograms(
            "penstock_slice_entries", "Entries that were applied in one go.", bounds=COUNTS
        )
        self.slice_seconds = Histograms(
            "penstock_slice_seconds", "Time to apply them, repetitions and the cache included."
        )
        self.slices_put_off = Counters(
            "penstock_slices_put_off", "Slices that the store did not take, and that are repeated."
        )
        self.entries = Counters(
            "penstock_entries",
            "Entries by what became of them: `applied`, `duplicate`, `rejected`, `quarantined`.",
            "outcome",
        )

        self.loop_lag_seconds = Histograms(
            "penstock_loop_lag_seconds",
            "How late the event loop wakes: of the `requests`, or of the `worker`.",
            "loop",
        )
        self.build = Gauges(
            "penstock_build_info", "1, with what runs.", "version", "python", "role"
        )

        self.build.of(version, platform.python_version(), role).set(1)
        self._shapes: set[str] = set()
        self.query_shapes.of().follow(lambda: len(self._shapes))
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(Cells(self))

    def __iter__(self) -> Iterator[AnyFamily]:
        """All of them, in the order of the table."""
        return (one for one in vars(self).values() if isinstance(one, AnyFamily))

    def scrape(self, accept: str = "") -> tuple[bytes, str]:
        """All values, and their media type: OpenMetrics where `accept` asks for it, else text.

        It takes milliseconds, on any thread.
        """
        wanted = f"{_OPENMETRICS}; version=1.0.0" if _OPENMETRICS in accept else ""
        encode, media_type = choose_encoder(wanted)
        return encode(self._registry), media_type

    def shape(self, shape: str) -> str:
        """The label value that stands for a query's shape: its id, while there is room for it."""
        if shape not in self._shapes:
            if len(self._shapes) >= _MOST_SHAPES:
                return _OTHER_SHAPES
            self._shapes.add(shape)
        return shape
