"""The whole house below HTTP, in one event loop, to be crashed at will.

It stands on the embedded engines, unless the environment names others: then it has a log and a
database of its own there, as it has a data directory of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.server import own_name

from penstock.access.access import Access
from penstock.access.principal import Principal
from penstock.config import Configuration
from penstock.ingest import Write
from penstock.ports.clock import Clock
from penstock.ports.log import Log
from penstock.records.collection import Settings, Target
from penstock.records.operation import Kind
from penstock.records.scope import EVERYTHING
from penstock.telemetry.traces import Traces
from penstock.wiring import Engines, Parts, close, open_engines, parts, work

ADMIN = Principal("default", "admin", EVERYTHING, is_operator=True)
KEY = "test-0123456789abcdef"


class House:
    """Engines, services and a worker. `crash` ends them where they stand, `start` reads on."""

    def __init__(self, data: Path, clock: Clock | None = None, **settings: Any) -> None:
        name = own_name(data)
        self.configuration = Configuration.read(
            data=data, admin_key=KEY, log_name=name, store_name=name, **settings
        )
        self._clock = clock
        self.between: Callable[[Log], Log] = lambda log: log
        """Put between the house and its log, to make it fail."""
        self.traces: Traces | None = None
        """Made of what it does, where a test wants to see them."""
        self.engines: Engines
        self.parts: Parts
        self._stop = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    @property
    def access(self) -> Access:
        return self.parts.access

    async def start(self, *, worker: bool = True) -> None:
        engines = open_engines(self.configuration, clock=self._clock)
        self.engines = engines._replace(log=self.between(engines.log), traces=self.traces)
        self.parts = parts(self.configuration, self.engines)
        await self.parts.backlog.start()
        self.parts.authentication.start()
        if worker:
            self.start_worker()

    def start_worker(self) -> None:
        self._stop = asyncio.Event()
        self._worker = asyncio.create_task(work(self.parts.worker, self.engines, self._stop))

    async def worker_ended(self) -> None:
        """Wait until the worker has ended by itself. Raises what ended it."""
        worker, self._worker = self._worker, None
        assert worker is not None
        await worker

    async def stop(self) -> None:
        """As on SIGTERM: what is in hand is finished."""
        self._stop.set()
        if self._worker is not None:
            await self._worker
        await self._let_go()

    async def crash(self) -> None:
        """The worker ends at whatever it awaits, and memory is gone."""
        while self._worker is not None and not self._worker.done():
            # Again and again: a library may have taken the cancellation for its own.
            self._worker.cancel()
            await asyncio.wait({self._worker}, timeout=1)
        await self._let_go()

    async def _let_go(self) -> None:
        self._worker = None
        await self.parts.authentication.close()
        await self.parts.backlog.close()
        await close(self.engines)

    async def collection(self, name: str, settings: Settings | None = None) -> Target:
        await self.access.put_collection(ADMIN, name, settings or Settings())
        return await self.access.target(ADMIN, name)

    @staticmethod
    def put(record_id: str, body: bytes = b"{}", *, if_absent: bool = False) -> Write:
        return Write(Kind.PUT, record_id, body, if_absent=if_absent)

    def deadline(self, seconds: float = 10) -> float:
        return self.engines.clock.monotonic() + seconds
