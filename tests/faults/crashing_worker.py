"""A worker that kills itself at a named point: `python -m tests.faults.crashing_worker POINT N`.

The N-th batch that comes to the point is the last: SIGKILL, as from outside, but at a known place.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, Final, NamedTuple

from penstock.adapters.kafka.consumer import KafkaConsumer
from penstock.adapters.mongodb.batch import MongoBatch
from penstock.apply.refresh import Refresh
from penstock.cli import main


class Point(NamedTuple):
    """Before or after the calls of a method."""

    owner: type
    method: str
    after: bool


POINTS: Final = {
    "after_store": Point(MongoBatch, "conclude", after=False),
    "after_position": Point(MongoBatch, "conclude", after=True),
    "after_cache": Point(Refresh, "tell", after=True),
    "before_commit": Point(KafkaConsumer, "commit", after=False),
}


def arm(point: Point, times: int) -> None:
    """Have the process end when it comes to the point for so many times."""
    call, left = getattr(point.owner, point.method), times

    async def called(*arguments: Any) -> Any:
        nonlocal left
        # Outcomes may be concluded without a position: that is not the end of a batch.
        left -= arguments[-1] != {}
        if left == 0 and not point.after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await call(*arguments)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(point.owner, point.method, called)


if __name__ == "__main__":
    name, count = sys.argv[1:]
    arm(POINTS[name], int(count))
    sys.argv = ["penstock", "worker"]
    main()
