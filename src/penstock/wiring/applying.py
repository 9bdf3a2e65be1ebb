"""Who applies what this process appends: a worker on a thread here, or workers elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

import uvloop

from penstock.apply.guard import stands
from penstock.apply.lag import LagWatch
from penstock.apply.thread import WorkerThread
from penstock.apply.worker import Worker, end
from penstock.errors import LogDiverged, Unavailable
from penstock.telemetry.logs import logger
from penstock.telemetry.loop import LoopLag
from penstock.wiring.engines import Engines

_LOOK_S: Final = 2.0

_log = logger("log")


class Applying(Protocol):
    """Begun before requests are taken, stopped when the last one has its answer."""

    def start(self, on_failure: Callable[[str], None]) -> None:
        """Begin; `on_failure` is told, on this loop, why nothing may be written any more."""
        ...

    async def trouble(self) -> str | None:
        """Why this process should be asked for nothing; None where it may be."""
        ...

    async def stop(self) -> bool:
        """Finish what is in hand; returns whether all went well."""
        ...


class WorkerHere:
    """A worker on a thread of this process, and with engines of its own."""

    def __init__(self, worker: Worker, engines: Engines) -> None:
        self._worker = worker
        self._thread = WorkerThread(partial(work, worker, engines), uvloop.new_event_loop)

    def start(self, on_failure: Callable[[str], None]) -> None:
        reason = "The worker has stopped: what would be written is not applied."
        self._thread.start(asyncio.get_running_loop(), lambda: on_failure(reason))

    async def trouble(self) -> str | None:
        return await self._thread.trouble() or (
            None if self._worker.assigned else "The worker has no partitions of the log yet."
        )

    async def stop(self) -> bool:
        await asyncio.to_thread(self._thread.stop)
        return self._thread.failure is None


class WorkersElsewhere:
    """Workers of other processes: what would stop them has to stop the writes here."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._task: asyncio.Task[None] | None = None

    def start(self, on_failure: Callable[[str], None]) -> None:
        self._task = asyncio.create_task(self._watch(on_failure))

    async def trouble(self) -> str | None:
        """Reads are served, whatever became of the log."""
        return None

    async def stop(self) -> bool:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        return True

    async def _watch(self, on_failure: Callable[[str], None]) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await stands(self._engines.log, self._engines.store)
            except Unavailable:
                continue
            except LogDiverged as error:
                _log.critical("log_diverged", reason=error.internal)
                on_failure(error.internal)
                return


class NothingToApply:
    """Nothing is written here, so nothing of it can fail."""

    def start(self, on_failure: Callable[[str], None]) -> None:
        del on_failure  # there is nothing that could

    async def trouble(self) -> str | None:
        return None

    async def stop(self) -> bool:
        return True


async def work(worker: Worker, engines: Engines, stop: asyncio.Event) -> None:
    """Run a worker until it is stopped; what is its own is closed on its loop."""
    metrics = engines.metrics
    loop_lag = LoopLag(metrics.loop_lag_seconds.of("worker"))
    loop_lag.start()
    watch = LagWatch(engines.log, engines.worker_store, engines.clock, metrics)
    watching = asyncio.create_task(watch.run())
    try:
        await worker.run(stop)
    finally:
        loop_lag.stop()
        await end(watching)
        for own, shared in (
            (engines.worker_store, engines.store),
            (engines.worker_catalog, engines.catalog),
            (engines.worker_cache, engines.cache),
        ):
            if own is not shared:
                await own.close()
