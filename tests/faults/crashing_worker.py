"""A worker that kills itself at a named point: `python -m tests.faults.crashing_worker POINT N`.

The N-th batch that comes to the point is the last: SIGKILL, as from outside, but at a known place.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from penstock.adapters.kafka.consumer import KafkaConsumer
from penstock.adapters.mongodb.batch import MongoBatch
from penstock.apply.refresh import Refresh
from penstock.cli import main

Call = Callable[..., Awaitable[Any]]


class Point:
    """Ends the process when it is reached for the last time."""

    def __init__(self, times: int) -> None:
        self._left = times

    def reach(self) -> None:
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, call: Call, *, matters: Callable[..., bool]) -> Call:
        async def called(*arguments: Any) -> Any:
            if matters(*arguments):
                self.reach()
            return await call(*arguments)

        return called

    def after(self, call: Call, *, matters: Callable[..., bool]) -> Call:
        async def called(*arguments: Any) -> Any:
            answer = await call(*arguments)
            if matters(*arguments):
                self.reach()
            return answer

        return called


def moves(_: MongoBatch, outcomes: Any, applied: Any) -> bool:
    """Whether the applied position is concluded, and not some outcomes before it."""
    del outcomes
    return bool(applied)


def always(*_: Any) -> bool:
    return True


def after_store(point: Point) -> None:
    MongoBatch.conclude = point.before(MongoBatch.conclude, matters=moves)  # type: ignore[method-assign]  # the fault


def after_position(point: Point) -> None:
    MongoBatch.conclude = point.after(MongoBatch.conclude, matters=moves)  # type: ignore[method-assign]  # the fault


def after_cache(point: Point) -> None:
    Refresh.tell = point.after(Refresh.tell, matters=always)  # type: ignore[method-assign]  # the fault


def before_commit(point: Point) -> None:
    KafkaConsumer.commit = point.before(KafkaConsumer.commit, matters=always)  # type: ignore[method-assign]  # the fault


POINTS: Final[dict[str, Callable[[Point], None]]] = {
    one.__name__: one for one in (after_store, after_position, after_cache, before_commit)
}

if __name__ == "__main__":
    name, times = sys.argv[1:]
    POINTS[name](Point(int(times)))
    sys.argv = ["penstock", "worker"]
    main()
