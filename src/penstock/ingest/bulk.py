"""A stream of writes, answered line by line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final, NamedTuple

from penstock.errors import PenstockError
from penstock.ingest.backlog import Backlog
from penstock.ingest.lines import Lines
from penstock.ports.clock import Clock
from penstock.ports.log import Appended, Log
from penstock.records.collection import Target
from penstock.records.document import suspicious_lines
from penstock.records.operation import Operation
from penstock.records.position import Position
from penstock.records.receipt import Receipt, Receipts

_AHEAD: Final = 2
"""Groups that are read while the first is still on its way to the disk."""


class Refusal(NamedTuple):
    """A line that was not written, and why."""

    record_id: str | None
    error: PenstockError


Result = str | Refusal
"""Of a line: the id of the record whose operation is durable, or a refusal."""


class BulkSummary(NamedTuple):
    """What a bulk came to so far; `receipt` covers all that was accepted, None for nothing."""

    accepted: int
    refused: int
    receipt: str | None


class BulkPace(NamedTuple):
    """How a bulk is held back.

    Attributes:
        lag_s: it is read no further while the apply lag is above so many seconds.
        append_s: how long one group of lines may take to become durable.
    """

    lag_s: float
    append_s: float


class Bulk:
    """One bulk request: `run` it once, then read its `summary`."""

    def __init__(
        self,
        log: Log,
        backlog: Backlog,
        receipts: Receipts,
        clock: Clock,
        target: Target,
        lines: Lines,
        pace: BulkPace,
    ) -> None:
        self._log = log
        self._backlog = backlog
        self._receipts = receipts
        self._clock = clock
        self._target = target
        self._lines = lines
        self._pace = pace
        self._taken = 0
        self._answered = 0
        self._accepted = 0
        self._last: dict[str, Position] = {}
        self._under_way: dict[asyncio.Task[Sequence[Appended]], set[str]] = {}
        self._trouble: PenstockError | None = None

    async def run(
        self, lines: AsyncIterator[Sequence[bytes | PenstockError]]
    ) -> AsyncGenerator[Sequence[Result], None]:
        """Append line by line, and yield a result for each, in their order.

        Args:
            lines: as they arrive, in groups; an error stands for a line that was refused before.

        A group is durable when its results come out; the next ones are read meanwhile. What `lines`
        raises comes out after the results of all earlier lines; so does `Unavailable`
        (`backlog_full`), and whatever the log did not take a line for: none that was read later
        is written then. So a record never has a line without the earlier ones, and the bulk can be
        repeated.
        """
        groups: asyncio.Queue[_Group | None] = asyncio.Queue(_AHEAD)
        reading = asyncio.create_task(self._take(lines, groups))
        try:
            while (group := await groups.get()) is not None:
                if group.appending is not None:
                    self._settle(group, await group.appending)
                self._answered += len(group.results)
                yield group.results
            await reading
            if self._trouble is not None:
                raise self._trouble
        finally:
            reading.cancel()
            while not groups.empty():
                # Room for its last word, which nobody will hear.
                groups.get_nowait()
            await asyncio.gather(reading, return_exceptions=True)

    @property
    def summary(self) -> BulkSummary:
        receipt = None
        if self._last:
            collection = self._target.collection
            positions = tuple(sorted(self._last.values()))
            now = self._clock.now()
            receipt = self._receipts.sign(
                Receipt(self._target.tenant, collection.id, "", "", positions, now)
            )
        return BulkSummary(self._accepted, self._answered - self._accepted, receipt)

    async def _take(
        self,
        lines: AsyncIterator[Sequence[bytes | PenstockError]],
        groups: asyncio.Queue[_Group | None],
    ) -> None:
        """Read, and hand over to the log, as fast as the lag and the queue allow."""
        try:
            async for arrived in lines:
                await self._backlog.below(self._pace.lag_s)
                group = self._read(arrived)
                if group.operations:
                    await self._follow(group)
                await groups.put(group)
        finally:
            await groups.put(None)

    async def _follow(self, group: _Group) -> None:
        """Hand over to the log, behind those under way that have a record in common."""
        ids = {one.record_id for one in group.operations}
        earlier = [task for task, others in self._under_way.items() if not ids.isdisjoint(others)]
        if earlier:
            await asyncio.wait(earlier)
        if self._trouble is not None:
            raise self._trouble
        group.appending = asyncio.create_task(self._append(group.operations))
        self._under_way[group.appending] = ids
        group.appending.add_done_callback(self._under_way.pop)

    async def _append(self, operations: Sequence[Operation]) -> Sequence[Appended]:
        deadline = self._clock.monotonic() + self._pace.append_s
        answers = await self._log.append(operations, deadline)
        if self._trouble is None:
            troubles = (one for one in answers if isinstance(one, PenstockError))
            self._trouble = next(troubles, None)
        return answers

    def _read(self, lines: Sequence[bytes | PenstockError]) -> _Group:
        group = _Group()
        texts = [b"" if isinstance(line, PenstockError) else line for line in lines]
        operation_of, number = self._lines.operation, self._taken
        for place, suspicious in enumerate(suspicious_lines(texts)):
            try:
                line = lines[place]
                if isinstance(line, PenstockError):
                    raise line
                operation = operation_of(number + place, line, suspicious=suspicious)
            except PenstockError as error:
                group.results.append(Refusal(None, error))
            else:
                group.operations.append(operation)
                group.places.append(place)
                group.results.append(operation.record_id)
        self._taken += len(lines)
        return group

    def _settle(self, group: _Group, answers: Sequence[Appended]) -> None:
        """Note what became durable; put refusals where it did not."""
        last = self._last
        refused = 0
        for place, answer in zip(group.places, answers, strict=True):
            if isinstance(answer, PenstockError):
                record_id = group.results[place]
                assert isinstance(record_id, str)
                group.results[place] = Refusal(record_id, answer)
                refused += 1
            else:
                last[answer[:8]] = answer
        self._accepted += len(answers) - refused
        for position in last.values():
            self._backlog.appended(position)


class _Group:
    """Lines that arrived together.

    Attributes:
        results: so far; complete once the appending is settled.
        operations: of the lines that were good.
        places: where in the results each operation's stands.
        appending: the log's answers, in time.
    """

    __slots__ = ("appending", "operations", "places", "results")

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.operations: list[Operation] = []
        self.places: list[int] = []
        self.appending: asyncio.Task[Sequence[Appended]] | None = None
