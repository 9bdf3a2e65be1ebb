"""JSON on standard output: indented and coloured for a person, as it came for a program."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.json import JSON


def show(content: bytes) -> None:
    """Print a JSON text."""
    if sys.stdout.isatty():
        Console().print(JSON(content.decode()))
    else:
        write_line(content)


def write_line(content: bytes) -> None:
    """Print bytes and a line end, untouched by the terminal's encoding."""
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.write(b"\n")
    sys.stdout.flush()
