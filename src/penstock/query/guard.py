"""What a query may cost: planned with the indexes there are, refused where it scans too much."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Final, NamedTuple

from penstock.errors import Fault, Invalid, QuotaExceeded
from penstock.ports.clock import Clock
from penstock.ports.store import Store
from penstock.query.plan import Plan, Sort, plan, suggestion
from penstock.records.collection import Target
from penstock.records.document import encode
from penstock.records.filter import Filter, shape
from penstock.records.index import Index
from penstock.telemetry.logs import logger
from penstock.telemetry.metrics import Metrics

_KNOWN_S: Final = 1.0
_AHEAD_S: Final = 0.1
_RETRY_S: Final = 1.0
_ID_BYTES: Final = 4

_log = logger("query")


class Limits(NamedTuple):
    """What is allowed.

    Attributes:
        scan_records: a collection of more is large: it is not scanned unless that is accepted.
        scans_at_once: of large collections, for a tenant.
        slow_s: a query that takes longer is logged, without its values.
    """

    scan_records: int
    scans_at_once: int
    slow_s: float


class _Known(NamedTuple):
    """What is known of a collection, for a second."""

    revision: int
    ready: Sequence[Index]
    records: int
    until: float
    ask_at: float


class Guard:
    """Plans queries, holds back those that would scan, and tells how long they took."""

    def __init__(self, store: Store, clock: Clock, limits: Limits, metrics: Metrics) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._metrics = metrics
        self._known: dict[str, _Known] = {}
        self._scanning: Counter[str] = Counter()

    @asynccontextmanager
    async def planned(
        self,
        target: Target,
        filter_: Filter | None,
        sort: Sort,
        deadline: float,
        *,
        allow_scan: bool,
        reads_all: bool = False,
    ) -> AsyncIterator[Plan]:
        """The plan for a query, and its time taken while it is carried out.

        Args:
            target: the collection.
            filter_: None for all records.
            sort: empty for whatever order costs least.
            deadline: monotonic seconds.
            allow_scan: whether a scan of a large collection is accepted.
            reads_all: whether everything that is found is read, not only a page of it.

        Raises `Invalid` (`index_required`) with the index that would serve it, `QuotaExceeded`
        where the tenant scans enough already.
        """
        began = self._clock.monotonic()
        known = await self._look(target, deadline)
        made = plan(filter_, sort, known.ready)
        is_bounded = made.is_served and not (reads_all and filter_ is None)
        is_scan = not is_bounded and known.records > self._limits.scan_records
        if is_scan and not allow_scan:
            raise _index_required(filter_, sort)
        if is_scan and self._scanning[target.tenant] >= self._limits.scans_at_once:
            raise QuotaExceeded(
                f"At most {self._limits.scans_at_once} scans run at once for a tenant.",
                ("scans",),
                _RETRY_S,
            )
        self._scanning[target.tenant] += is_scan
        try:
            yield made
        finally:
            self._scanning[target.tenant] -= is_scan
            self._note(target, filter_, sort, made, self._clock.monotonic() - began)

    def _note(
        self, target: Target, filter_: Filter | None, sort: Sort, made: Plan, taken: float
    ) -> None:
        """Count it by its shape, and log it where it was slow: never with its values."""
        asked, order = shape(filter_), ",".join(one.text for one in sort)
        shape_id = blake2b(f"{asked}\x00{order}".encode(), digest_size=_ID_BYTES).hexdigest()
        label = self._metrics.shape(shape_id)
        self._metrics.queries.of(label).add()
        self._metrics.query_seconds.of("index" if made.is_served else "scan").note(taken)
        if taken > self._limits.slow_s:
            self._metrics.slow_queries.of(label).add()
            _log.warning(
                "slow_query",
                tenant=target.tenant,
                collection=target.collection.name,
                shape=shape_id,
                filter=asked,
                sort=order,
                indexes=",".join(dict.fromkeys(one.index.name for one in made.streams)),
                is_served=made.is_served,
                ms=round(1000 * taken),
            )

    async def _look(self, target: Target, deadline: float) -> _Known:
        collection = target.collection
        known = self._known.get(collection.id)
        now = self._clock.monotonic()
        if known is not None and known.until > now and known.revision == collection.revision:
            if known.ask_at > now:
                return known
            # One asks again before it is too late, lest all of that moment do.
            self._known[collection.id] = known._replace(ask_at=known.until)
        ready: list[Index] = []
        if target.rules.indexes:
            states = await self._store.indexes(collection.id, deadline - now)
            ready = [
                one
                for one in target.rules.indexes
                if one.name in states and states[one.name].is_ready
            ]
        left = deadline - self._clock.monotonic()
        records = await self._store.estimate(collection.id, left)
        fresh = _Known(
            collection.revision, ready, records, now + _KNOWN_S, now + _KNOWN_S - _AHEAD_S
        )
        self._known[collection.id] = fresh
        return fresh


def _index_required(filter_: Filter | None, sort: Sort) -> Invalid:
    wanted = suggestion(filter_, sort)
    detail = "No index serves this query, and the collection is too large to scan."
    if wanted:
        indexes = " and ".join(encode(one).decode() for one in wanted)
        detail += f" An index would: {indexes}."
    detail += " allow_scan=true scans all the same, within the deadline."
    return Invalid("index_required", detail, faults=(Fault("", detail),))
