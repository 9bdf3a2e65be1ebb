"""A stream of writes, answered line by line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import NamedTuple

from penstock.errors import PenstockError
from penstock.ingest.backlog import Backlog
from penstock.ingest.lines import Lines
from penstock.ports.clock import Clock
from penstock.ports.log import Appended, Log
from penstock.records.collection import Target
from penstock.records.operation import Operation
from penstock.records.position import Position
from penstock.records.receipt import Receipt, Receipts


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
        self._accepted = 0
        self._last: dict[str, Position] = {}

    async def run(
        self, lines: AsyncIterator[Sequence[bytes | PenstockError]]
    ) -> AsyncGenerator[Sequence[Result], None]:
        """Append line by line, and yield a result for each, in their order.

        Args:
            lines: as they arrive, in groups; an error stands for a line that was refused before.

        A group is durable when its results come out. What `lines` raises comes out after the
        results of all earlier lines; so does `Unavailable` (`backlog_full`).
        """
        async for group in lines:
            await self._backlog.below(self._pace.lag_s)
            results, operations, places = self._read(group)
            if operations:
                deadline = self._clock.monotonic() + self._pace.append_s
                answers = await self._log.append(operations, deadline)
                self._settle(results, places, answers)
            yield results

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
        return BulkSummary(self._accepted, self._taken - self._accepted, receipt)

    def _read(
        self, group: Sequence[bytes | PenstockError]
    ) -> tuple[list[Result], list[Operation], list[int]]:
        """The results so far, the operations, and where in the results each one's stands."""
        results: list[Result] = []
        operations: list[Operation] = []
        places: list[int] = []
        operation_of, first = self._lines.operation, self._taken
        for place, line in enumerate(group):
            try:
                if isinstance(line, PenstockError):
                    raise line
                operation = operation_of(first + place, line)
            except PenstockError as error:
                results.append(Refusal(None, error))
            else:
                operations.append(operation)
                places.append(place)
                results.append(operation.record_id)
        self._taken += len(group)
        return results, operations, places

    def _settle(
        self, results: list[Result], places: Sequence[int], answers: Sequence[Appended]
    ) -> None:
        """Note what became durable; put refusals where it did not."""
        last = self._last
        refused = 0
        for place, answer in zip(places, answers, strict=True):
            if isinstance(answer, PenstockError):
                record_id = results[place]
                assert isinstance(record_id, str)
                results[place] = Refusal(record_id, answer)
                refused += 1
            else:
                last[answer[:8]] = answer
        self._accepted += len(answers) - refused
        for position in last.values():
            self._backlog.appended(position)
