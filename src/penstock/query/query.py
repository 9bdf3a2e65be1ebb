"""The query service: its parts put together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from penstock.errors import TooLarge
from penstock.ports.cache import Cache
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy
from penstock.ports.store import Store
from penstock.query.export import Export
from penstock.query.fetch import Fetch, Found
from penstock.query.figures import Figures
from penstock.query.find import Finder
from penstock.query.freshness import Freshness
from penstock.query.guard import Guard, Limits
from penstock.query.lists import Lists
from penstock.query.page import Pages
from penstock.query.settled import Outcomes
from penstock.records.collection import Target
from penstock.records.receipt import Receipt
from penstock.telemetry.metrics import Metrics

_PART: Final = 100
_MOST_BYTES: Final = 32 * 1024 * 1024


class Query:
    """Reads: by id, in lists, and what became of a write."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        entropy: Entropy,
        secret: bytes,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        freshness = Freshness(store, clock)
        outcomes = Outcomes(store, freshness, clock)
        self._fetch = Fetch(store, cache, freshness, clock, entropy)
        self.fetch = self._fetch.one
        guard, finder = Guard(store, clock, limits, metrics), Finder(store, clock)
        pages = Pages(store, finder, guard, freshness, clock, secret)
        self.page = Lists(pages, clock).page
        self.reach = pages.reach
        figures = Figures(store, guard, clock)
        self.count, self.aggregate = figures.count, figures.aggregate
        self.export = Export(finder, clock).parts
        self.indexes = store.indexes
        self.outcome = outcomes.of
        self.settled = outcomes.wait

    async def fetch_many(
        self,
        target: Target,
        record_ids: Sequence[str],
        receipts: Sequence[Receipt],
        *,
        fresh: bool,
        deadline: float,
    ) -> list[Found | None]:
        """One answer per id, in their order; None for a record that is not there.

        They are read in parts, so that large ones never come all at once. Raises `TooLarge`
        (`answer_too_large`) where they are more than `_MOST_BYTES` together.
        """
        found: list[Found | None] = []
        total = 0
        for start in range(0, len(record_ids), _PART):
            values = await asyncio.gather(
                *(
                    self._fetch.value(target, record_id, receipts, fresh, deadline)
                    for record_id in record_ids[start : start + _PART]
                )
            )
            found += [self._fetch.found(value) for value in values]
            total += sum(len(one.body) for one in found[start:] if one is not None)
            if total > _MOST_BYTES:
                raise TooLarge("answer_too_large")
        return found
