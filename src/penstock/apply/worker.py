"""The worker's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from penstock.apply.guard import starts
from penstock.apply.housekeeping import Housekeeping
from penstock.apply.indexing import Indexing
from penstock.apply.observed import Observed
from penstock.apply.persist import Persist
from penstock.apply.refresh import Refresh
from penstock.errors import Unavailable
from penstock.ports.log import Consumer, Log, Slice
from penstock.ports.store import Store
from penstock.records.position import Partition, Position
from penstock.telemetry.logs import logger

_IDLE_S: Final = 0.25
_FEW: Final = 16
_GATHER_S: Final = 0.02
"""How long a slice that is neither nearly empty nor large waits for more: a transaction of 300
entries costs half as much an entry as one of 60. A lone write is applied at once."""
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 5.0
_AGAIN_S: Final = 0.2

_log = logger("worker")


class Worker:
    """Applies the log to the store, poll by poll, until it is told to stop."""

    def __init__(
        self,
        log: Log,
        store: Store,
        persist: Persist,
        refresh: Refresh,
        housekeeping: Housekeeping,
        indexing: Indexing,
        observed: Observed,
        batch_entries: int,
    ) -> None:
        self._log = log
        self._store = store
        self._persist = persist
        self._refresh = refresh
        self._housekeeping = housekeeping
        self._indexing = indexing
        self._observed = observed
        self._batch_entries = batch_entries
        self.assigned = False
        """Whether it ever had partitions to read: before that, nothing is applied here."""
        self.reads = False
        """Whether it could ask the log, at its last try. It may have no partitions all the same."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Raises `LogDiverged`, and whatever is a defect of ours.

        What is in hand is finished first. What fails for the moment is repeated, with a growing
        pause: its partitions wait, nothing is skipped.
        """
        consumer = self._log.consumer(self._assign)
        indexing = asyncio.create_task(self._indexing.run())
        try:
            while not stop.is_set():
                await self._round(consumer, stop)
        finally:
            await end(indexing)
            await consumer.close()

    async def _round(self, consumer: Consumer, stop: asyncio.Event) -> None:
        try:
            slices = await consumer.poll(self._batch_entries, _IDLE_S)
        except Unavailable as error:
            self.reads = False
            _log.warning("log_not_read", reason=str(error))
            await _pause(stop, _LONGEST_PAUSE_S / 5)
            return
        self.reads = True
        if slices:
            with self._observed.applying(slices):
                done = await self._apply(slices, stop)
            if not done:
                return
            await consumer.commit({one.partition: one.entries[-1].position for one in slices})
        if _FEW < sum(len(slice_.entries) for slice_ in slices) < self._batch_entries // 4:
            await _pause(stop, _GATHER_S)
        await self._housekeeping.run()

    async def _apply(self, slices: Sequence[Slice], stop: asyncio.Event) -> bool:
        """Apply until it succeeds; False where the stop came first."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                persisted = await self._persist.slices(slices, self._log.identity)
            except Unavailable as error:
                self._observed.put_off()
                _log.warning("slices_not_applied", reason=str(error), again_in_s=pause)
                if await _pause(stop, pause):
                    return False
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                self._observed.applied(slices, persisted.results)
                await self._refresh.tell(persisted.written)
                return True

    async def _assign(self, partitions: Sequence[Partition]) -> Mapping[Partition, Position | None]:
        start = await starts(self._log, self._store, partitions)
        self.assigned = True
        _log.info("assigned", partitions=len(start), held=len(partitions) - len(start))
        return start


async def end(task: asyncio.Task[None]) -> None:
    """Cancel, until it has ended: MongoDB's driver may take a cancellation for its own."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=_AGAIN_S)


async def _pause(stop: asyncio.Event, seconds: float) -> bool:
    """Wait; True where the stop came."""
    # Not `wait_for`: before Python 3.12 it loses a cancellation that comes with the event.
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
