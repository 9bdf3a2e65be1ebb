"""Who waits for the thread that writes the log, and how they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from penstock.errors import PenstockError, Unavailable
from penstock.ports.log import Appended
from penstock.records.operation import Operation


class Append:
    """Operations that wait to become durable, and whom to tell."""

    __slots__ = ("deadline", "future", "loop", "operations")

    def __init__(
        self, operations: Sequence[Operation], deadline: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.operations = operations
        self.deadline = deadline
        self.loop = loop
        self.future: asyncio.Future[list[Appended]] = loop.create_future()


class Trim:
    """A trim that waits its turn."""

    __slots__ = ("before", "future", "loop", "older_than")

    def __init__(self, before: int, older_than: int) -> None:
        self.before = before
        self.older_than = older_than
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[int] = self.loop.create_future()


Item = list[Append] | Trim | None
"""What the writer is handed: appends, a trim, or the end."""


def closed_error() -> Unavailable:
    return Unavailable("shutting_down", retry_after=1)


Answer = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Any]


def tell(answers: Sequence[Answer]) -> None:
    """Tell all who wait, with one call into each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0], []).append(answer)
    for loop, own in by_loop.items():
        # A loop that has ended has no one left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, own)


def _resolve(answers: Sequence[Answer]) -> None:
    for _, future, value in answers:
        if future.done():
            continue
        if isinstance(value, PenstockError):
            future.set_exception(value)
        else:
            future.set_result(value)
