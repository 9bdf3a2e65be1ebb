"""Everything of a collection, by id, a part in memory at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from penstock.ports.clock import Clock
from penstock.query.bounds import Stream
from penstock.query.find import Finder
from penstock.query.plan import Plan
from penstock.query.project import Projection
from penstock.records.collection import Target
from penstock.records.filter import Filter
from penstock.records.index import BY_ID, End, Range
from penstock.records.record import render

_PART: Final = 1_000
_MOST_BYTES: Final = 4 * 1024 * 1024


class Export:
    """Reads a collection through."""

    def __init__(self, finder: Finder, clock: Clock) -> None:
        self._finder = finder
        self._clock = clock

    async def parts(
        self,
        target: Target,
        filter_: Filter | None,
        projection: Projection | None,
        after: str | None,
        part_s: float,
    ) -> AsyncGenerator[list[bytes], None]:
        """The records for which the filter holds, by id, in parts, until there are no more.

        A record that is there all the while comes exactly once; one that is written meanwhile, as
        it was before or after.

        Args:
            target: the collection.
            filter_: None for all records.
            projection: None for whole records.
            after: only ids above this one; None for all.
            part_s: seconds that one part may take.

        Raises `Unavailable` (`deadline_exceeded`, `store_unavailable`).
        """
        low = End() if after is None else End((after,), is_open=True)
        plan = Plan((Stream(BY_ID, (), (Range(low),), filter_),))
        mark, has_more = None, True
        while has_more:
            deadline = self._clock.monotonic() + part_s
            found, has_more = await self._finder.find(
                target, plan, mark, _PART, _MOST_BYTES, backward=False, deadline=deadline
            )
            if found:
                mark = found[-1].mark
                yield [
                    render(one.state) if projection is None else projection.render(one.state)
                    for one in found
                ]
