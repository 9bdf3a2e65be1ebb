"""How far it is: a bar where somebody watches, a line now and then where nobody does."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

_EVERY_S: Final = 5.0


class Progress:
    """Rows so far, their rate and, where the size of the input is known, the time left.

    Args:
        total: bytes of the input; None where that is not known.
        rows: done before, which do not count for the rate.
    """

    def __init__(self, total: int | None = None, rows: int = 0) -> None:
        self._total = total
        self._start_rows = self._rows = rows
        self._begin = self._last = time.monotonic()
        self._start_bytes: int | None = None
        self._bar: Bar | None = None
        if sys.stderr.isatty():
            self._bar = Bar(
                TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
                BarColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task("rows", total=total, rows=rows, rate=0.0)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begin

    @property
    def rate(self) -> float:
        """Rows a second."""
        return (self._rows - self._start_rows) / max(self.seconds, 0.001)

    def advance(self, rows: int, at: int = 0) -> None:
        """So many rows more; the input is read as far as byte `at`."""
        self._rows += rows
        if self._bar is not None:
            self._bar.update(self._task, completed=at, rows=self._rows, rate=self.rate)
        elif time.monotonic() - self._last >= _EVERY_S:
            self._last = time.monotonic()
            typer.echo(f"{self._rows:,} rows, {self.rate:,.0f}/s{self._left(at)}", err=True)

    def _left(self, at: int) -> str:
        if self._start_bytes is None:
            self._start_bytes = at
        done = at - self._start_bytes
        if not self._total or done <= 0:
            return ""
        seconds = self.seconds * (self._total - at) / done
        return f", {100 * at // self._total} %, {seconds:,.0f} s left"

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
