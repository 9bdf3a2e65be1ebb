"""Whether a receipt is reached, and waiting until it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final

from penstock.errors import Conflict, DeadlineExceeded
from penstock.ports.clock import Clock
from penstock.ports.store import Applied, Store
from penstock.records.position import Partition, Position, Reach, reaches
from penstock.records.receipt import Receipt

_LEAST_PAUSE_S: Final = 0.002
_MOST_PAUSE_S: Final = 0.01
_PAUSES: Final = 2
"""Twice as long as a question took, there is none: but one that hung must keep no one waiting."""

Wanted = tuple[Position, ...]
"""What a read must reflect; nothing for a read that presents no receipt."""


def wanted_by_record(receipts: Iterable[Receipt], collection_id: str, record_id: str) -> Wanted:
    """The positions that a read of one record must reflect.

    Receipts for other records or collections do not concern it; those of a bulk (without a record
    id) may.
    """
    return tuple(
        position
        for receipt in receipts
        if receipt.collection_id == collection_id and receipt.record_id in ("", record_id)
        for position in receipt.positions
    )


def wanted_by_list(receipts: Iterable[Receipt]) -> Wanted:
    """The positions that a list must reflect: all."""
    return tuple(position for receipt in receipts for position in receipt.positions)


def fence_reaches(fence: Position, wanted: Wanted) -> bool:
    """Whether a record with this fence reflects all of `wanted`.

    A bulk's receipt has a position for each partition; a record lives in one of them, the one that
    its fence is in, and the others say nothing about it.
    """
    if not wanted:
        return True
    here = [position for position in wanted if position[:8] == fence[:8]]
    return bool(here) and all(position <= fence for position in here)


def check_not_parked(parked: Position | None, wanted: Wanted) -> None:
    """Raise `Conflict` (`quarantined`) where `wanted` may ask for what was put aside.

    Of other partitions of that generation, it does not; of later generations, all comes after it.
    """
    if parked is None:
        return
    for position in wanted:
        after = position[:4] > parked[:4] or position[:8] == parked[:8]
        if after and position >= parked:
            raise Conflict("quarantined")


class Freshness:
    """How far the store reflects the log, and a way to wait for it: one poll for all who wait."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._last: Reach | None = None
        self._asked_at = -inf
        self._waiters: dict[asyncio.Future[None], Wanted] = {}
        self._task: asyncio.Task[None] | None = None

    async def reach(self, deadline: float | None = None) -> Reach:
        """How far the store reflects the log now.

        Raises `Unavailable`, and `DeadlineExceeded` after the deadline (monotonic seconds).
        """
        asked_at = self._clock.monotonic()
        left = None if deadline is None else deadline - asked_at
        self._last = _positions(await self._store.applied(left))
        # What it says may have been so before it was said, but not before it was asked.
        self._asked_at = max(self._asked_at, asked_at)
        return self._last

    def is_new(self, wanted: Wanted) -> bool:
        """Whether `wanted` was not applied yet when we last asked: a hint, which may be old."""
        return self._last is not None and not all_reached(self._last, wanted)

    async def reached(self, wanted: Wanted, deadline: float) -> bool:
        """Wait until `wanted` is applied; False where the deadline (monotonic s) comes first.

        What is read after it is as new as that. Raises `Unavailable`, and `DeadlineExceeded` where
        the store has answered nothing that was asked meanwhile.
        """
        if not wanted:
            return True
        began = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiters[future] = wanted
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._poll())
        try:
            async with asyncio.timeout(deadline - began):
                await future
        except TimeoutError:
            if self._asked_at < began:
                raise DeadlineExceeded from None
            return False
        finally:
            self._waiters.pop(future, None)
        return True

    async def _poll(self) -> None:
        while self._waiters:
            began = self._clock.monotonic()
            try:
                self._tell(await self.reach())
            except Exception as error:  # noqa: BLE001  # whatever it is, it is theirs to handle
                self._fail(error)
            pause_s = _PAUSES * (self._clock.monotonic() - began)
            await asyncio.sleep(min(max(pause_s, _LEAST_PAUSE_S), _MOST_PAUSE_S))

    def _tell(self, reach: Reach) -> None:
        for future, wanted in self._waiters.items():
            if not future.done() and all_reached(reach, wanted):
                future.set_result(None)

    def _fail(self, error: Exception) -> None:
        for future in self._waiters:
            if not future.done():
                future.set_exception(error)


def all_reached(reach: Reach, wanted: Sequence[Position]) -> bool:
    return all(reaches(reach, position) for position in wanted)


def _positions(applied: Mapping[Partition, Applied]) -> Reach:
    return {partition: one.position for partition, one in applied.items()}
