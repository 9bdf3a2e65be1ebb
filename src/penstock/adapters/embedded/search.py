"""Searching the store's tables: scans, counts and aggregates, each within its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Any, Final, TypeVar

import apsw

from penstock.adapters.embedded import states
from penstock.adapters.embedded.database import Readers, query, store_errors
from penstock.adapters.embedded.groups import (
    PERCENTILE,
    PercentileByRank,
    group_of,
    statement,
)
from penstock.adapters.embedded.scans import Form, stretches
from penstock.errors import DeadlineExceeded, Unavailable
from penstock.ports.clock import Clock
from penstock.records.aggregate import Aggregation, Group
from penstock.records.filter import Filter
from penstock.records.record import State
from penstock.records.scan import Scan

T = TypeVar("T")

_AT_ONCE: Final = 4
"""Parts of a scan in one statement: as many as lie behind a mark in three fields and an id."""
_STATEMENTS: Final = 256
"""Texts that are kept; each is one to four forms together."""
_STEPS: Final = 20_000
"""Instructions of SQLite's machine between two looks at the clock: some tenths of a millisecond."""


class Search:
    """Reads what queries ask for.

    Args:
        readers: connections.
        has: whether a table is there.
        clock: for limits of time.
    """

    def __init__(self, readers: Readers, has: Callable[[str], bool], clock: Clock) -> None:
        self._readers = readers
        self._has = has
        self._clock = clock

    async def scan(
        self, collection_id: str, scan: Scan, limit: int, now: int, time_s: float
    ) -> list[State]:
        def work(table: str) -> list[State]:
            return [states.state_of(row, data=True) for row in self._rows(table, scan, limit, now)]

        # What indexes bound is read on the spot: a hop to another thread takes longer.
        hops = scan.filter is not None
        return await self._within(collection_id, time_s, work, hops=hops) or []

    async def count(
        self,
        collection_id: str,
        scans: Sequence[Scan],
        filter_: Filter | None,  # noqa: ARG002  # the scans say it
        most: int,
        now: int,
        time_s: float,
    ) -> int:
        def work(table: str) -> int:
            total = 0
            parts = (one for scan in scans for one in stretches(table, scan, now))
            for form, bindings in parts:
                sql = f"SELECT 1 FROM {form.source} WHERE {form.held} LIMIT ?"
                found = self._query(f"SELECT count(*) FROM ({sql})", (*bindings, most - total))
                total += found[0][0]
                if total >= most:
                    break
            return total

        return await self._within(collection_id, time_s, work, hops=True) or 0

    async def estimate(self, collection_id: str, time_s: float | None = None) -> int:
        def work(table: str) -> int:
            # Both in one query would be a scan; each alone is the end of the tree.
            sql = (
                f"SELECT ifnull((SELECT max(number) FROM {table})"
                f" - (SELECT min(number) FROM {table}) + 1, 0)"
            )
            return int(self._query(sql, ())[0][0])

        return await self._within(collection_id, time_s, work, hops=False) or 0

    async def aggregate(
        self,
        collection_id: str,
        scans: Sequence[Scan],
        filter_: Filter | None,  # noqa: ARG002  # the scans say it
        wanted: Aggregation,
        now: int,
        time_s: float,
    ) -> list[Group]:
        def work(table: str) -> list[Group]:
            parts = [one for scan in scans for one in stretches(table, scan, now)]
            if not parts:
                return []
            connection = self._readers.connection
            connection.create_aggregate_function(PERCENTILE, PercentileByRank, 2)
            try:
                rows = self._query(*statement(table, parts, wanted))
            except apsw.SQLError as error:
                if "integer overflow" not in str(error):
                    raise
                rows = self._query(*statement(table, parts, wanted, sums="total"))
            return [group_of(wanted, row) for row in rows]

        return await self._within(collection_id, time_s, work, hops=True) or []

    async def _within(
        self,
        collection_id: str,
        time_s: float | None,
        work: Callable[[str], T],
        *,
        hops: bool,
    ) -> T | None:
        """Do the work on a collection's table within the time; None where there is no table."""
        if time_s is not None and time_s <= 0:
            raise DeadlineExceeded
        table = states.table_of(collection_id)
        until = None if time_s is None else self._clock.monotonic() + time_s

        def timed() -> T | None:
            with store_errors(), _index_errors(), self._limited(until):
                return work(table) if self._has(table) else None

        return await asyncio.to_thread(timed) if hops else timed()

    @contextmanager
    def _limited(self, until: float | None) -> Iterator[None]:
        if until is None:
            yield
            return
        connection, monotonic = self._readers.connection, self._clock.monotonic
        connection.set_progress_handler(lambda: monotonic() > until, _STEPS)
        try:
            yield
        except apsw.InterruptError:
            raise DeadlineExceeded from None
        finally:
            connection.set_progress_handler(None)

    def _rows(self, table: str, scan: Scan, limit: int, now: int) -> Iterator[states.Row]:
        parts = stretches(table, scan, now)
        while limit > 0 and (some := list(islice(parts, _AT_ONCE))):
            bindings = [one for part in some for one in (*part.bindings, limit)]
            if len(some) > 1:
                bindings.append(limit)
            statement = _statement(tuple([part.form for part in some]))
            rows = states.rows(self._readers.connection, statement, bindings)
            yield from rows
            limit -= len(rows)

    def _query(self, sql: str, bindings: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return query(self._readers.connection, sql, bindings)


@lru_cache(_STATEMENTS)
def _statement(forms: Sequence[Form]) -> str:
    """One for all; SQLite reads a part where those before it do not fill the limit."""
    selects = [
        f"SELECT {states.ROW} FROM {source} WHERE {held} ORDER BY {order} LIMIT ?"
        for source, held, order in forms
    ]
    if len(selects) == 1:
        return states.together(selects[0])
    whole = " UNION ALL ".join(f"SELECT * FROM ({select})" for select in selects)
    return states.together(f"{whole} LIMIT ?")


@contextmanager
def _index_errors() -> Iterator[None]:
    """An index that was removed a moment ago."""
    try:
        yield
    except apsw.SQLError as error:
        if "no such index" not in str(error) and "no such table" not in str(error):
            raise
        raise Unavailable("store_unavailable", retry_after=1, internal=str(error)) from error
