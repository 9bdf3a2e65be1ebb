"""The lines in batches: the same lines in the same batch, each time the input is read."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol

from penstock.cli.importing.line import Line

_MOST_BYTES: Final = 4 * 1024 * 1024
_AHEAD: Final = 2


class Batch(NamedTuple):
    """What is sent in one request.

    Attributes:
        number: from 0.
        lines: those that are sent, and those that are not.
        at: how far the input was read for it, in bytes as stored.
    """

    number: int
    lines: list[Line]
    at: int

    @property
    def sent(self) -> list[Line]:
        return [line for line in self.lines if line.bulk]

    @property
    def unsent(self) -> list[Line]:
        return [line for line in self.lines if not line.bulk]


class Place(Protocol):
    """Where the reading is."""

    @property
    def at(self) -> int:
        """Bytes read so far, as stored."""
        ...


def batches(lines: Iterable[Line], source: Place, most_lines: int) -> Iterator[Batch]:
    """Cut by number of lines and by size, and by nothing that could differ the next time."""
    number = size = 0
    batch: list[Line] = []
    for line in lines:
        if batch and (len(batch) == most_lines or size + len(line.bulk) > _MOST_BYTES):
            yield Batch(number, batch, source.at)
            number, batch, size = number + 1, [], 0
        batch.append(line)
        size += len(line.bulk)
    if batch:
        yield Batch(number, batch, source.at)


def ahead(made: Iterable[Batch]) -> Iterator[Batch]:
    """The same batches, made by another thread while the one before is on its way.

    That thread is a daemon: it may sit in a read from a terminal when we want to leave.
    """
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(_AHEAD)

    def make() -> None:
        try:
            for batch in made:
                ready.put(batch)
        except BaseException as error:  # noqa: BLE001  # it is raised where the batches are taken
            ready.put(error)
        else:
            ready.put(None)

    threading.Thread(target=make, name="reading", daemon=True).start()
    while (one := ready.get()) is not None:
        if isinstance(one, BaseException):
            raise one
        yield one
