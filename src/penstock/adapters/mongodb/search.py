"""Searching: scans, counts and aggregates, each within its time on the server's side too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Final

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure

from penstock.adapters.mongodb.connection import Document, apart, limited
from penstock.adapters.mongodb.filters import condition
from penstock.adapters.mongodb.groups import group_of, pipeline
from penstock.adapters.mongodb.layout import Layout
from penstock.adapters.mongodb.scans import existing, found_in
from penstock.adapters.mongodb.states import state_of
from penstock.errors import Unavailable
from penstock.records.aggregate import Aggregation, Group
from penstock.records.filter import Filter
from penstock.records.record import State
from penstock.records.scan import Scan

Reading = Callable[..., Awaitable[list[Document]]]
"""Finds documents no older than anything that was read before."""
Sessions = Callable[[], AbstractAsyncContextManager[AsyncClientSession]]

_WITHOUT_MARKS: Final = {"ops": False}
_NO_INDEX: Final = frozenset((2, 51173, 291))
"""BadValue, and what MongoDB says of a hint, a min or a max without its index."""


class Search:
    """Reads what queries ask for.

    Args:
        layout: of the database.
        read: finds documents.
        session: for what is no find; what is read in it is no older either.
        timeout_s: of any operation, after which the server counts as away.
    """

    def __init__(self, layout: Layout, read: Reading, session: Sessions, timeout_s: float) -> None:
        self._layout = layout
        self._read = read
        self._session = session
        self._timeout_s = timeout_s

    async def scan(
        self, collection_id: str, scan: Scan, limit: int, now: int, time_s: float
    ) -> list[State]:
        found: list[State] = []
        with self._limited(time_s):
            for one in scan.ranges[:: -1 if scan.reverse else 1]:
                wanted, options = found_in(scan, one, now)
                documents = await self._read(
                    self._layout.records(collection_id),
                    wanted,
                    projection=_WITHOUT_MARKS,
                    limit=limit - len(found),
                    **options,
                )
                found += map(state_of, documents)
                if len(found) >= limit:
                    break
        return found

    @apart
    async def count(
        self,
        collection_id: str,
        scans: Sequence[Scan],  # noqa: ARG002  # MongoDB finds its own way
        filter_: Filter | None,
        most: int,
        now: int,
        time_s: float,
    ) -> int:
        records = self._layout.settled(self._layout.records(collection_id))
        with self._limited(time_s):
            async with self._session() as session:
                wanted = {"$and": [existing(now), condition(filter_)]}
                return await records.count_documents(wanted, session=session, limit=most)

    @apart
    async def estimate(self, collection_id: str, time_s: float | None = None) -> int:
        with limited(time_s, self._timeout_s):
            return await self._layout.records(collection_id).estimated_document_count()

    @apart
    async def aggregate(
        self,
        collection_id: str,
        scans: Sequence[Scan],  # noqa: ARG002  # MongoDB finds its own way
        filter_: Filter | None,
        wanted: Aggregation,
        now: int,
        time_s: float,
    ) -> list[Group]:
        with self._limited(time_s):
            async with self._session() as session:
                records = self._layout.settled(self._layout.records(collection_id))
                cursor = await records.aggregate(pipeline(filter_, wanted, now), session=session)
                return [group_of(wanted, one) async for one in cursor]

    @contextmanager
    def _limited(self, time_s: float) -> Iterator[None]:
        """Within the time; an index that has gone meanwhile is away for the moment."""
        try:
            with limited(time_s, self._timeout_s):
                yield
        except OperationFailure as error:
            if error.code not in _NO_INDEX:
                raise
            raise Unavailable("store_unavailable", retry_after=1, internal=str(error)) from error
