"""How an input is to be read."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from penstock.cli.exits import Exit, Failed
from penstock.cli.importing.line import Reader
from penstock.cli.importing.ndjson import NdjsonReader, as_data, as_data_with_id, as_exported
from penstock.cli.importing.source import Source
from penstock.cli.importing.table import TableReader


class Format(StrEnum):
    """What an input is written in."""

    NDJSON = "ndjson"
    CSV = "csv"


class Choices(msgspec.Struct, frozen=True):
    """All that decides which lines are sent, and in which batch.

    Attributes:
        collection: where to, by name.
        collection_since: when that was created, which tells it from any other of its name.
        format: of the input.
        id_field: the field or column with the id; None for ids that the server makes.
        exported: whether lines are records as `export` writes them.
        text: whether the cells of a CSV stay the text that they are.
        missing: cells of a CSV that are left out.
        batch: lines a request.
    """

    collection: str
    collection_since: str
    format: Format
    id_field: str | None
    exported: bool
    text: bool
    missing: list[str]
    batch: int

    def check(self) -> None:
        """Raise `Failed` for choices that do not go together."""
        if self.exported and self.id_field is not None:
            raise Failed("--exported lines have their ids: there is no --id-field", Exit.USAGE)
        if self.format is Format.CSV and self.exported:
            raise Failed("--exported lines are NDJSON, not CSV", Exit.USAGE)
        if self.format is Format.NDJSON and (self.text or self.missing):
            raise Failed("--text and --missing are for CSV", Exit.USAGE)

    def reader(self, source: Source) -> Reader:
        """A reader of the source. Raises `Failed` where it has not what was chosen."""
        if self.format is Format.CSV:
            return TableReader(source.stream, self.id_field, self.missing, plain=self.text)
        if self.exported:
            return NdjsonReader(source.stream, as_exported)
        if self.id_field is not None:
            return NdjsonReader(source.stream, as_data_with_id(self.id_field))
        return NdjsonReader(source.stream, as_data)
