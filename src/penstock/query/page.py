"""Plain listing: all records of a collection, by id, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from penstock.errors import Malformed, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.store import Store
from penstock.query.freshness import Freshness, Wanted, check_not_parked, wanted_by_list
from penstock.records.collection import Target
from penstock.records.position import Position
from penstock.records.receipt import Receipt
from penstock.records.record import render
from penstock.records.seal import Seal

_MOST_BYTES: Final = 8 * 1024 * 1024
"""Of a page, above which it ends before its size is reached. Records are read in growing parts, so
that large ones never come all at once."""
_FIRST_PART: Final = 16
_GROWTH: Final = 4
_PARTITION_DIGITS: Final = 8


class Page(NamedTuple):
    """One page: the records' canonical JSON, and the token of the next page, if there is one."""

    records: list[bytes]
    next_page_token: str | None


class _Cursor(msgspec.Struct, array_like=True):
    """Where a page ends: bound to its tenant and collection."""

    tenant: str
    collection_id: str
    after: str


class Pages:
    """Keyset paging: every page costs the same, however deep."""

    def __init__(self, store: Store, freshness: Freshness, clock: Clock, secret: bytes) -> None:
        self._store = store
        self._freshness = freshness
        self._clock = clock
        self._seal = Seal(secret, b"page")

    async def page(
        self,
        target: Target,
        size: int,
        token: str | None,
        receipts: Sequence[Receipt],
        deadline: float,
    ) -> Page:
        """The page after `token`, reflecting all receipts.

        Raises `Malformed` (`invalid_page_token`), `Unavailable` (`not_applied_yet`), `Conflict`
        (`quarantined`) where a record of the collection may lack what a receipt is for.
        """
        after = None if token is None else self._after(target, token)
        wanted = wanted_by_list(receipts)
        if wanted and not await self._freshness.reached(wanted, deadline):
            raise Unavailable("not_applied_yet", retry_after=1)
        await self._check_none_parked(target, wanted)
        records: list[bytes] = []
        part, total = _FIRST_PART, 0
        while True:
            part = min(part, size - len(records))
            # One more than asked for tells whether there is a next one.
            states = await self._store.page(
                target.collection.id, after, part + 1, self._clock.now()
            )
            records += [render(state) for state in states[:part]]
            total += sum(map(len, records[-part:]))
            if len(states) <= part:
                return Page(records, None)
            after = states[part - 1].record_id
            if len(records) == size or total >= _MOST_BYTES:
                return Page(records, self._token(target, after))
            part *= _GROWTH
            await asyncio.sleep(0)

    async def _check_none_parked(self, target: Target, wanted: Wanted) -> None:
        """Raise `Conflict` (`quarantined`) where a page could not reflect a receipt."""
        collection_id = target.collection.id
        # The first of all is that of an earlier generation, where there is one.
        starts = {Position(position[:_PARTITION_DIGITS]) for position in wanted}
        for start in (None, *starts) if wanted else ():
            for letter in await self._store.letters(collection_id, None, start, 1):
                states = await self._store.get(collection_id, [letter.record_id])
                state = states.get(letter.record_id)
                check_not_parked(None if state is None else state.parked, wanted)

    def _token(self, target: Target, after: str) -> str:
        cursor = _Cursor(target.tenant, target.collection.id, after)
        return self._seal.close(msgspec.msgpack.encode(cursor))

    def _after(self, target: Target, token: str) -> str:
        try:
            cursor = msgspec.msgpack.decode(self._seal.open(token), type=_Cursor)
        except (ValueError, msgspec.DecodeError):
            raise Malformed("invalid_page_token") from None
        if (cursor.tenant, cursor.collection_id) != (target.tenant, target.collection.id):
            raise Malformed("invalid_page_token")
        return cursor.after
