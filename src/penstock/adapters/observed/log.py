"""A log whose calls are timed, and one whose appends are traced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from penstock.adapters.observed.timed import Meter, Timed
from penstock.errors import PenstockError
from penstock.ports.log import Appended, Log
from penstock.records.operation import Operation

if TYPE_CHECKING:  # loaded only where traces are asked for
    from penstock.telemetry.traces import Traces


class ObservedLog(Timed):
    """`ports.log.Log`, handed on; what an append does not take is a failure, one for each call."""

    def __init__(self, log: Log, meter: Meter, traces: Traces | None) -> None:
        super().__init__(log, meter)
        self._log = log
        self._traces = traces
        self._seconds = meter.seconds("append")
        self._failures = meter.failures("append")

    async def append(self, operations: Sequence[Operation], deadline: float) -> list[Appended]:
        if self._traces is None:
            return await self._append(operations, deadline)
        with self._traces.append(len(operations)) as traceparent:
            for one in operations:
                one.trace = traceparent
            return await self._append(operations, deadline)

    async def _append(self, operations: Sequence[Operation], deadline: float) -> list[Appended]:
        began = self._meter.monotonic()
        answers = await self._log.append(operations, deadline)
        self._seconds.note(self._meter.monotonic() - began)
        # What comes behind a refusal of the same record is refused too, so the last one tells
        # nearly always; looking at all of a bulk would cost more than the rest of this.
        if isinstance(answers[-1], PenstockError):
            self._failures.add()
        return answers


def observed(log: Log, meter: Meter, traces: Traces | None) -> Log:
    return cast("Log", ObservedLog(log, meter, traces))
