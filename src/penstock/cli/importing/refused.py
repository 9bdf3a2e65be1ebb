"""The file of refused lines: what was in each, and why it was refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from penstock.api.messages import Problem
from penstock.cli.exits import Exit, Failed


class RefusedLine(msgspec.Struct):
    """A line of the file."""

    line: int
    input: str
    problem: Problem


class RefusedLines:
    """Appends to the file; there is none where nothing was refused.

    Args:
        path: of the file.
        size: bytes of it that an earlier run left for certain; what follows is written again.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        try:
            if size:
                with path.open("r+b") as file:
                    file.truncate(size)
            else:
                # Made now, to learn now whether it can be, and kept where there is something in it.
                path.touch()
                path.unlink()
        except OSError as error:
            raise Failed(f"{path} cannot be written: {error.strerror}", Exit.USAGE) from None

    def add(self, refused: Iterable[RefusedLine]) -> int:
        """Write them; returns the size of the file."""
        with self.path.open("ab") as file:
            file.writelines(msgspec.json.encode(one) + b"\n" for one in refused)
            return file.tell()
