"""JSON that is given as an argument: the text itself, `@FILE`, or `-` for standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from penstock.cli.exits import Exit, Failed


def given(content: str) -> bytes:
    """The JSON of an argument; the server says what is wrong with it."""
    if content == "-":
        return sys.stdin.buffer.read()
    if content.startswith("@"):
        try:
            return Path(content[1:]).read_bytes()
        except OSError as error:
            raise Failed(f"{content[1:]} cannot be read: {error.strerror}", Exit.USAGE) from None
    return content.encode(errors="surrogateescape")
