"""CSV: a header, then a record a row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

import msgspec

from penstock.cli.exits import Exit, Failed
from penstock.cli.importing.line import Line

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?").fullmatch
_MOST_CELL: Final = 8 * 1024 * 1024
_WORDS: Final = {"true": True, "false": False}

_encode: Final = msgspec.json.Encoder().encode


class TableReader:
    """Reads CSV (RFC 4180), UTF-8.

    A cell that is written as JSON writes a number, `true` or `false` is one; an empty cell is left
    out; any other is text. A number is at most 18 digits, and 17 behind the point, so that none is
    changed beyond what a double holds.

    Args:
        stream: the input.
        id_field: the column that holds the ids; None for ids that the server makes.
        missing: cells that mean the same as an empty one.
        plain: leave every cell the text that it is.
    """

    def __init__(
        self, stream: BinaryIO, id_field: str | None, missing: Sequence[str], *, plain: bool
    ) -> None:
        # Bytes that are no UTF-8 become lone surrogates, which tell the row that has them.
        text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
        csv.field_size_limit(_MOST_CELL)
        self._rows = csv.reader(text, strict=True)
        self._missing = frozenset(("", *missing))
        self._plain = plain
        self._names = self._header()
        self._id_at: int | None = None
        if id_field is not None:
            if id_field not in self._names:
                raise Failed(f"the header has no column {id_field!r}", Exit.USAGE)
            self._id_at = self._names.index(id_field)

    def lines(self) -> Iterator[Line]:
        rows = self._rows
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise Failed(f"line {rows.line_num} is not CSV: {error}", Exit.USAGE) from None
            if row:
                yield self._line(rows.line_num, row)

    def _header(self) -> list[str]:
        try:
            names = next(self._rows, [])
        except csv.Error as error:
            raise Failed(f"the header is not CSV: {error}", Exit.USAGE) from None
        if not names:
            raise Failed("there is no header in the first line", Exit.USAGE)
        if "" in names or len(set(names)) != len(names):
            raise Failed("a column has no name, or one that another has too", Exit.USAGE)
        return names

    def _line(self, number: int, row: list[str]) -> Line:
        if len(row) != len(self._names):
            reason = f"The row has {len(row)} cells, the header {len(self._names)}."
            return Line(number, _text(row), b"", reason)
        missing, value = self._missing, self._value
        data = {
            name: value(cell)
            for name, cell in zip(self._names, row, strict=True)
            if cell not in missing
        }
        bulk: dict[str, Any] = {"data": data}
        if self._id_at is not None:
            bulk = {"id": row[self._id_at], "data": data}
        try:
            return Line(number, _text(row), _encode(bulk))
        except UnicodeEncodeError:
            return Line(number, _text(row), b"", "The row is not UTF-8.")

    def _value(self, cell: str) -> Any:
        if self._plain:
            return cell
        first = cell[0]
        if first in "-0123456789":
            if _NUMBER(cell):
                return float(cell) if "." in cell else int(cell)
            return cell
        return _WORDS.get(cell, cell)


def _text(row: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(row)
    return out.getvalue().encode("utf-8", "surrogateescape")
