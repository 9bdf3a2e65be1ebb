"""Pages of a query, by where the one before ended: page 10,000 costs what page 1 costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from penstock.errors import Malformed, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.store import Store
from penstock.query.find import Finder, Found, Mark
from penstock.query.freshness import Freshness, Wanted, check_not_parked, wanted_by_list
from penstock.query.guard import Guard
from penstock.query.plan import Sort
from penstock.query.project import Projection
from penstock.records.collection import Target
from penstock.records.filter import Filter
from penstock.records.position import Position
from penstock.records.receipt import Receipt
from penstock.records.record import render
from penstock.records.seal import Seal

_MOST_BYTES: Final = 8 * 1024 * 1024
"""Of a page, above which it ends before its size is reached."""
_VALID_MS: Final = 24 * 3_600_000
_PARTITION_DIGITS: Final = 8


class Search(NamedTuple):
    """What a page is asked for.

    Attributes:
        filter: None for all records.
        sort: empty for whatever order costs least.
        projection: which fields of the data; None for all.
        size: records, at most.
        token: of the page; None for the first.
        allow_scan: whether a scan of a large collection is accepted.
    """

    filter: Filter | None = None
    sort: Sort = ()
    projection: Projection | None = None
    size: int = 100
    token: str | None = None
    allow_scan: bool = False


class Page(NamedTuple):
    """One page: the records' canonical JSON, and the tokens of its neighbours, where there are."""

    records: list[bytes]
    next_page_token: str | None = None
    previous_page_token: str | None = None


class _Cursor(msgspec.Struct, array_like=True):
    """Where a page begins: after a mark, or before it, for one query of one collection."""

    tenant: str
    collection_id: str
    query: bytes
    expires_at: int
    backward: bool
    mark: Mark | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Cursor).decode


class Pages:
    """Keyset paging over any plan."""

    def __init__(
        self,
        store: Store,
        finder: Finder,
        guard: Guard,
        freshness: Freshness,
        clock: Clock,
        secret: bytes,
    ) -> None:
        self._store = store
        self._finder = finder
        self._guard = guard
        self._freshness = freshness
        self._clock = clock
        self._seal = Seal(secret, b"page")

    async def page(
        self, target: Target, search: Search, receipts: Sequence[Receipt], deadline: float
    ) -> Page:
        """The page after `search.token`, reflecting all receipts.

        Raises `Malformed` (`invalid_page_token`), `Invalid` (`index_required`), `Unavailable`
        (`not_applied_yet`, `deadline_exceeded`), `Conflict` (`quarantined`) where a record of the
        collection may lack what a receipt is for.
        """
        await self.reach(target, receipts, deadline)
        async with self._guard.planned(
            target, search.filter, search.sort, deadline, allow_scan=search.allow_scan
        ) as plan:
            query = plan.digest(search.filter, search.sort)
            cursor = self._cursor(target, query, search.token)
            found, has_more = await self._finder.find(
                target,
                plan,
                cursor.mark,
                search.size,
                _MOST_BYTES,
                backward=cursor.backward,
                deadline=deadline,
            )
        return self._page(target, query, cursor, found, search.projection, has_more=has_more)

    async def reach(self, target: Target, receipts: Sequence[Receipt], deadline: float) -> None:
        """Wait until what is found reflects all receipts. Raises as `page` does."""
        wanted = wanted_by_list(receipts)
        if wanted and not await self._freshness.reached(wanted, deadline):
            raise Unavailable("not_applied_yet", retry_after=1)
        await self._check_none_parked(target, wanted, deadline)

    def _page(
        self,
        target: Target,
        query: bytes,
        cursor: _Cursor,
        found: list[Found],
        projection: Projection | None,
        *,
        has_more: bool,
    ) -> Page:
        records = [
            render(one.state) if projection is None else projection.render(one.state)
            for one in found
        ]
        if not found:
            return Page(records)
        # Where the reader has come from, there is more.
        has_next = has_more or cursor.backward
        has_previous = has_more if cursor.backward else cursor.mark is not None
        following = self._token(target, query, found[-1], backward=False) if has_next else None
        before = self._token(target, query, found[0], backward=True) if has_previous else None
        return Page(records, following, before)

    async def _check_none_parked(self, target: Target, wanted: Wanted, deadline: float) -> None:
        """Raise `Conflict` (`quarantined`) where a page could not reflect a receipt."""
        collection_id = target.collection.id
        # The first of all is that of an earlier generation, where there is one.
        starts = {Position(position[:_PARTITION_DIGITS]) for position in wanted}
        for start in (None, *starts) if wanted else ():
            left = deadline - self._clock.monotonic()
            for letter in await self._store.letters(collection_id, None, start, 1, left):
                left = deadline - self._clock.monotonic()
                states = await self._store.get(collection_id, [letter.record_id], left)
                state = states.get(letter.record_id)
                check_not_parked(None if state is None else state.parked, wanted)

    def _token(self, target: Target, query: bytes, at: Found, *, backward: bool) -> str:
        expires_at = self._clock.now() + _VALID_MS
        cursor = _Cursor(target.tenant, target.collection.id, query, expires_at, backward, at.mark)
        return self._seal.close(_encode(cursor))

    def _cursor(self, target: Target, query: bytes, token: str | None) -> _Cursor:
        own = (target.tenant, target.collection.id, query)
        if token is None:
            return _Cursor(*own, expires_at=0, backward=False, mark=None)
        try:
            cursor = _decode(self._seal.open(token))
        except (ValueError, msgspec.DecodeError):
            raise Malformed("invalid_page_token") from None
        if (cursor.tenant, cursor.collection_id, cursor.query) != own:
            raise Malformed("invalid_page_token")
        if cursor.expires_at <= self._clock.now():
            raise Malformed("invalid_page_token", "The page token has expired: begin anew.")
        return cursor
