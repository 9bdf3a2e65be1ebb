"""The log of a process that neither writes nor applies: it has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.errors import Unavailable
from penstock.ports.log import Appended, Assign, Bounds, Consumer
from penstock.records.operation import Operation
from penstock.records.position import Partition, Position


class AbsentLog:
    """`ports.log.Log` without an entry, so that a process that only reads needs no brokers."""

    def identity(self, _generation: int) -> str:
        raise _absent()

    async def append(self, operations: Sequence[Operation], _deadline: float) -> list[Appended]:
        return [_absent() for _ in operations]

    async def bounds(self) -> Mapping[Partition, Bounds]:
        return {}

    async def entry(self, _position: Position) -> None:
        """There is none."""

    def consumer(self, _assign: Assign) -> Consumer:
        raise _absent()

    async def trim(self, _before: Position, _older_than: int) -> int:
        return 0

    async def close(self) -> None:
        """There is nothing to let go of."""


def _absent() -> Unavailable:
    return Unavailable("log_unavailable", internal="this process has no log")
