"""Ctrl-C that is not forgotten."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any, Self


class Interrupt:
    """While it is entered, Ctrl-C raises `KeyboardInterrupt` as ever, and is remembered too.

    Python raises wherever it happens to be; in a finalizer or a callback of C code the exception is
    dropped, and a loop that did not look here would go on to its end.
    """

    def __init__(self) -> None:
        self._came = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raise `KeyboardInterrupt` where one came and got lost."""
        if self._came:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._came = True
        raise KeyboardInterrupt
