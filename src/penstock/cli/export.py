"""`penstock records export`: all of a collection, a page in memory at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from penstock.cli.client import DEFAULT_DATA, DEFAULT_URL, Data, KeyOption, Url, connected
from penstock.cli.exits import Exit, Failed
from penstock.cli.pages import MOST, pages
from penstock.cli.progress import Progress


def export(
    collection: Annotated[str, typer.Argument(help="Name of the collection.")],
    file: Annotated[
        Path, typer.Argument(help="Where to; - for standard output.", allow_dash=True)
    ] = Path("-"),
    url: Url = DEFAULT_URL,
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Write all records, one a line as the API shows them, in the order of their ids.

    `import --exported` reads them back.
    """
    with connected(url, key, data) as client, _target(file) as out, Progress() as progress:
        for page in pages(client, collection, MOST):
            out.writelines(part for record in page for part in (record, b"\n"))
            progress.advance(len(page))


@contextmanager
def _target(file: Path) -> Iterator[BinaryIO]:
    """The file appears whole, or not at all."""
    if str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as out:
            yield out
        part.replace(file)
    except OSError as error:
        raise Failed(f"{file} cannot be written: {error.strerror}", Exit.USAGE) from None
    finally:
        part.unlink(missing_ok=True)
