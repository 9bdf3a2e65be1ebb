"""Figures over many records: counts and aggregates, by the same plans as pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from penstock.ports.clock import Clock
from penstock.ports.store import Store
from penstock.query.guard import Guard
from penstock.query.plan import Plan
from penstock.records.aggregate import Aggregation, Function, Group, Measure
from penstock.records.collection import Target
from penstock.records.filter import Filter
from penstock.records.scan import Scan

_COUNTED: Final = 10_000
"""Up to which an estimate counts."""
_ALL: Final = 2**53

CountKind = Literal["exact", "estimated", "at_least"]


class Count(NamedTuple):
    """How many records, and what that figure is."""

    value: int
    kind: CountKind


class Figures:
    """Counts and aggregates."""

    def __init__(self, store: Store, guard: Guard, clock: Clock) -> None:
        self._store = store
        self._guard = guard
        self._clock = clock

    async def count(
        self,
        target: Target,
        filter_: Filter | None,
        deadline: float,
        *,
        exact: bool,
        allow_scan: bool,
    ) -> Count:
        """How many records there are for which the filter holds.

        Raises `Invalid` (`index_required`), `Unavailable` (`deadline_exceeded`).
        """
        if filter_ is None and not exact:
            left = deadline - self._clock.monotonic()
            return Count(await self._store.estimate(target.collection.id, left), "estimated")
        most = _ALL if exact else _COUNTED
        async with self._guard.planned(
            target, filter_, (), deadline, allow_scan=allow_scan
        ) as plan:
            time_s = deadline - self._clock.monotonic()
            value = await self._store.count(
                target.collection.id, _scans(plan), filter_, most, self._clock.now(), time_s
            )
        return Count(value, "exact" if value < most else "at_least")

    async def aggregate(
        self,
        target: Target,
        filter_: Filter | None,
        wanted: Aggregation,
        deadline: float,
        *,
        allow_scan: bool,
    ) -> Sequence[Group]:
        """The groups. Raises as `count` does."""
        async with self._guard.planned(
            target, filter_, (), deadline, allow_scan=allow_scan, reads_all=True
        ) as plan:
            time_s = deadline - self._clock.monotonic()
            groups = await self._store.aggregate(
                target.collection.id, _scans(plan), filter_, wanted, self._clock.now(), time_s
            )
        # Without keys, nothing is a group as well.
        return groups or ([] if wanted.keys else [Group((), tuple(map(_of_none, wanted.measures)))])


def _of_none(measure: Measure) -> int | None:
    return 0 if measure.function in (Function.COUNT, Function.SUM) else None


def _scans(plan: Plan) -> list[Scan]:
    return [
        Scan(one.index, one.ranges, plan.reverse, one.rest) for one in plan.streams if one.ranges
    ]
