"""The embedded adapters under the laws of their ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
from tests.contract.consumer_laws import ConsumerLaws
from tests.contract.log_laws import LogLaws

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.embedded.log import EmbeddedLog
from penstock.ports.log import Log
from penstock.records.position import Position


class EmbeddedLogs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._open: dict[Log, Path] = {}

    async def fresh(self) -> Log:
        return self._opened(self._folder / f"log{next(self._numbers)}.db")

    async def reopened(self, log: Log) -> Log:
        path = self._open.pop(log)
        await log.close()
        return self._opened(path)

    async def trimmed(self, log: Log, before: Position, older_than: int) -> None:
        while await log.trim(before, older_than):
            pass

    async def close(self) -> None:
        for log in self._open:
            await log.close()

    def _opened(self, path: Path) -> Log:
        log = EmbeddedLog(path, SystemClock(), SystemEntropy())
        self._open[log] = path
        return log


class TestEmbeddedLog(LogLaws, ConsumerLaws):
    @pytest.fixture
    async def logs(self, tmp_path: Path) -> AsyncIterator[EmbeddedLogs]:
        opener = EmbeddedLogs(tmp_path)
        yield opener
        await opener.close()
