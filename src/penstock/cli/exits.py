"""How a command ends: its exit code, and the sentence on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    DEFECT = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    INCOMPLETE = 5
    INTERRUPTED = 130


MEANINGS = """
Exit codes: 0 done; 1 a defect of Penstock, not confirmed, or a check that fails; 2 wrong usage or
configuration; 3 the server refused, or there is no such thing; 4 the server cannot be reached, or
could not answer; 5 done, but some lines were refused; 130 interrupted.
"""


class Failed(Exception):
    """The command cannot go on. Its text is one sentence for the person at the terminal."""

    def __init__(self, sentence: str, code: Exit) -> None:
        super().__init__(sentence)
        self.code = code


@contextmanager
def told() -> Iterator[None]:
    """Turn `Failed` and Ctrl-C into a sentence and an exit code."""
    try:
        yield
    except Failed as failed:
        typer.echo(f"penstock: {failed}", err=True)
        raise typer.Exit(failed.code) from None
    except KeyboardInterrupt:
        typer.echo("penstock: interrupted", err=True)
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is left in the buffer goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.DONE) from None
