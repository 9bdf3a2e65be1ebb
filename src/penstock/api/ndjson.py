"""A stream of bytes as lines, in groups, none longer than the limit and none kept in vain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from penstock.errors import Malformed, PenstockError, TooLarge

Line = bytes | PenstockError
"""A line without its end, or why it is refused."""

MOST_LINES: Final = 4096
"""Lines in a group: bounds the memory of a body of line ends only."""

_BLANK: Final = (b"", b"\r")


class LineSplitter:
    """Splits at LF (a CR before it is white space to JSON), however the bytes are cut.

    A line over the limit is refused where it ends, and not kept until then. A blank line is refused
    too, but for one at the very end.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._tail = b""
        self._skipping = False
        self._blank_held = False
        self._too_large = TooLarge("line_too_large", f"A line is at most {most_bytes} bytes.")
        self._blank = Malformed("invalid_line", "The line is blank.")

    def feed(self, piece: bytes) -> list[Line]:
        """The lines that end in this piece."""
        first, *rest = piece.split(b"\n")
        lines: list[Line] = []
        if rest:
            if self._skipping:
                lines += self._with_blanks([self._too_large])
                self._skipping = False
            else:
                rest.insert(0, self._tail + first)
            self._tail = rest.pop()
            lines += self._checked(rest)
        elif not self._skipping:
            self._tail += piece
        if len(self._tail) > self._most:
            self._tail = b""
            self._skipping = True
        return lines

    def finish(self) -> list[Line]:
        """The last line, where it had no end."""
        if self._skipping:
            return self._with_blanks([self._too_large])
        return self._checked([self._tail]) if self._tail else []

    def _checked(self, parts: list[bytes]) -> list[Line]:
        # The common group costs three passes in C.
        if parts and max(map(len, parts)) > self._most:
            return self._with_blanks(
                [part if len(part) <= self._most else self._too_large for part in parts]
            )
        if self._blank_held or b"" in parts or b"\r" in parts:
            return self._with_blanks(parts)
        return list(parts)

    def _with_blanks(self, parts: Sequence[Line]) -> list[Line]:
        """The parts, with each blank one refused; the last one only when another line follows."""
        lines: list[Line] = []
        for part in parts:
            if self._blank_held:
                lines.append(self._blank)
            self._blank_held = part in _BLANK
            if not self._blank_held:
                lines.append(part)
        return lines


async def groups(
    pieces: AsyncGenerator[bytes, None], splitter: LineSplitter
) -> AsyncGenerator[list[Line], None]:
    """The lines of a stream, as they arrive; no group is empty."""
    async with aclosing(pieces):
        async for piece in pieces:
            lines = splitter.feed(piece)
            for start in range(0, len(lines), MOST_LINES):
                yield lines[start : start + MOST_LINES]
            if not lines:
                # An endless line, such as a bomb unfolds into: others are to be served too.
                await asyncio.sleep(0)
    last = splitter.finish()
    if last:
        yield last
