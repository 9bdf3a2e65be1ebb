"""Pages kept for a moment: for collections whose policy allows it, and readers who do not mind."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from penstock.errors import DeadlineExceeded
from penstock.ports.clock import Clock
from penstock.query.page import Page, Pages, Search
from penstock.records.collection import Target
from penstock.records.receipt import Receipt

_MOST: Final = 1_000
_MOST_BYTES: Final = 256 * 1024
"""Of a page that is kept."""

_Key = tuple[str, int, str]


class Aged(NamedTuple):
    """A page, and when it was the truth for certain (ms since 1970)."""

    page: Page
    as_of: int


class Lists:
    """Answers the same question once, to all who ask it within the collection's time for lists."""

    def __init__(self, pages: Pages, clock: Clock) -> None:
        self._pages = pages
        self._clock = clock
        self._kept: OrderedDict[_Key, Aged] = OrderedDict()
        self._asked: dict[_Key, asyncio.Task[Aged]] = {}

    async def page(
        self,
        target: Target,
        search: Search,
        receipts: Sequence[Receipt],
        *,
        fresh: bool,
        deadline: float,
    ) -> Aged:
        """The page, kept or new; raises as `Pages.page` does. `fresh` goes past what is kept."""
        kept_ms = target.rules.lists_ms
        if fresh or receipts or not kept_ms:
            return await self._ask(target, search, receipts, deadline)
        key = (target.collection.id, target.collection.revision, repr(search))
        known = self._kept.get(key)
        if known is not None and known.as_of + kept_ms > self._clock.now():
            return known
        asking = self._asked.get(key)
        if asking is None:
            asking = asyncio.create_task(self._ask(target, search, receipts, deadline))
            self._asked[key] = asking
            asking.add_done_callback(lambda done: self._keep(key, done))
        try:
            # Whoever gives up leaves it to the others.
            return await asyncio.shield(asking)
        except DeadlineExceeded:
            # Who asked first may have been in more of a hurry.
            if self._clock.monotonic() >= deadline:
                raise
        return await self._ask(target, search, receipts, deadline)

    async def _ask(
        self, target: Target, search: Search, receipts: Sequence[Receipt], deadline: float
    ) -> Aged:
        as_of = self._clock.now()
        return Aged(await self._pages.page(target, search, receipts, deadline), as_of)

    def _keep(self, key: _Key, done: asyncio.Task[Aged]) -> None:
        del self._asked[key]
        if done.cancelled() or done.exception() is not None:
            return
        aged = done.result()
        if sum(map(len, aged.page.records)) <= _MOST_BYTES:
            self._kept[key] = aged
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
