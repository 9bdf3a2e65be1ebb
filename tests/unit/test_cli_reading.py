"""Inputs of an import: how they are unpacked, and what becomes of their lines."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
import zstandard

from penstock.cli.exits import Exit, Failed
from penstock.cli.importing.line import Line
from penstock.cli.importing.ndjson import NdjsonReader, as_data, as_data_with_id, as_exported
from penstock.cli.importing.source import UNREADABLE, Source, is_csv
from penstock.cli.importing.table import TableReader

CONTENT = b"".join(b'{"n":%d}\n' % n for n in range(50_000))


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def read(path: Path) -> bytes:
    with Source(str(path)) as source:
        return source.stream.read()


@pytest.mark.parametrize(
    "stored",
    [
        CONTENT,
        gzip.compress(CONTENT),
        zstd(CONTENT),
        gzip.compress(CONTENT[:1000]) + gzip.compress(CONTENT[1000:]),
        zstd(CONTENT[:1000]) + zstd(CONTENT[1000:]),
    ],
    ids=["plain", "gzip", "zstd", "gzip-members", "zstd-frames"],
)
def test_a_file_is_unpacked_by_what_is_in_it_not_by_its_name(tmp_path: Path, stored: bytes) -> None:
    path = tmp_path / "no-suffix"
    path.write_bytes(stored)
    assert read(path) == CONTENT


@pytest.mark.parametrize("packed", [gzip.compress(CONTENT), zstd(CONTENT)], ids=["gzip", "zstd"])
def test_a_packed_file_that_is_cut_short_is_no_end(tmp_path: Path, packed: bytes) -> None:
    path = tmp_path / "cut"
    path.write_bytes(packed[:-20])
    with pytest.raises(UNREADABLE):
        read(path)


@pytest.mark.parametrize("packed", [gzip.compress(CONTENT), zstd(CONTENT)], ids=["gzip", "zstd"])
def test_a_packed_file_that_is_damaged_is_found_out(tmp_path: Path, packed: bytes) -> None:
    middle = len(packed) // 2
    path = tmp_path / "damaged"
    path.write_bytes(packed[:middle] + b"\xff\x00\xff\x00\xff\x00" + packed[middle + 6 :])
    with pytest.raises(UNREADABLE):
        assert read(path) == CONTENT


def test_a_file_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot be read: No such file") as caught:
        Source(str(tmp_path / "nothing"))
    assert caught.value.code is Exit.USAGE


def test_how_far_a_file_is_read_counts_stored_bytes(tmp_path: Path) -> None:
    path = tmp_path / "one.gz"
    path.write_bytes(gzip.compress(CONTENT))
    with Source(str(path)) as source:
        source.stream.read()
    assert (source.at, source.size) == (path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize(
    ("name", "csv"),
    [
        ("a.csv", True),
        ("a.CSV.gz", True),
        ("a.csv.zst", True),
        ("a.ndjson", False),
        ("a.csv.ndjson", False),
        ("csv", False),
        ("-", False),
    ],
)
def test_a_name_says_csv_before_it_says_how_it_is_packed(name: str, csv: bool) -> None:
    assert is_csv(name) is csv


def lines(content: bytes, envelope: object = as_data) -> list[Line]:
    return list(NdjsonReader(io.BytesIO(content), envelope).lines())  # type: ignore[arg-type]  # any of the envelopes


def test_lines_keep_their_numbers_over_blank_ones_and_lose_a_byte_order_mark() -> None:
    found = lines(b'\xef\xbb\xbf{"a":1}\r\n\n  \n{"b":2}')
    assert [(one.number, one.bulk) for one in found] == [
        (1, b'{"data":{"a":1}}'),
        (4, b'{"data":{"b":2}}'),
    ]


@pytest.mark.parametrize(
    "text", [b'{},"id":"x"', b'{}},{"op":"delete","id":"x"', b'{"a":', b"{} {}", b"nonsense"]
)
def test_a_line_that_is_not_one_json_text_never_gets_into_an_envelope(text: bytes) -> None:
    (found,) = lines(text)
    assert (found.bulk, found.text) == (b"", text)
    assert found.reason


def test_the_id_is_taken_from_a_field_and_the_data_stay_as_they_are() -> None:
    found = lines(b'{"key":"a\\"b","n":1.50}\n{"key":7}\n', as_data_with_id("key"))
    assert [one.bulk for one in found] == [
        b'{"id":"a\\"b","data":{"key":"a\\"b","n":1.50}}',
        b'{"id":"7","data":{"key":7}}',
    ]


@pytest.mark.parametrize("text", [b'{"other":1}', b'{"key":null}', b'{"key":[1]}', b"[1]"])
def test_a_line_without_an_id_where_one_is_needed_is_refused_here(text: bytes) -> None:
    (found,) = lines(text, as_data_with_id("key"))
    assert found.bulk == b""
    assert found.reason


def test_an_exported_record_gives_its_id_and_its_data() -> None:
    record = b'{"id":"r/1","version":"0001","created_at":"x","updated_at":"y","data":{"a": [1]}}'
    (found,) = lines(record, as_exported)
    assert json.loads(found.bulk) == {"id": "r/1", "data": {"a": [1]}}


def test_an_endless_line_is_refused_and_what_follows_is_read() -> None:
    found = lines(b'"' + b"x" * 9_000_000 + b'"\n{"a":1}\n')
    assert [(one.number, one.reason) for one in found] == [(1, "The line is too long."), (2, "")]
    assert len(found[0].text) < 2_000


def table(
    content: bytes, id_field: str | None = None, missing: list[str] | None = None, *, plain: bool
) -> list[Line]:
    return list(TableReader(io.BytesIO(content), id_field, missing or [], plain=plain).lines())


def data(line: Line) -> object:
    return json.loads(line.bulk)["data"]


def test_cells_become_what_json_would_call_them() -> None:
    content = (
        b"whole,real,word,text,gone,code,wide,tiny\n"
        b"12,-0.5,true,truth,,007,1234567890123456789,1e5\n"
    )
    (row,) = table(content, plain=False)
    assert data(row) == {
        "whole": 12,
        "real": -0.5,
        "word": True,
        "text": "truth",
        "code": "007",
        "wide": "1234567890123456789",
        "tiny": "1e5",
    }


def test_cells_stay_text_when_asked_to_and_missing_ones_are_left_out() -> None:
    (row,) = table(b"a,b,c\n1,NA,true\n", missing=["NA"], plain=True)
    assert data(row) == {"a": "1", "c": "true"}


def test_the_id_of_a_row_is_the_text_of_its_cell() -> None:
    (row,) = table(b"code,n\n007,1\n", "code", plain=False)
    assert json.loads(row.bulk) == {"id": "007", "data": {"code": "007", "n": 1}}


def test_quoted_cells_may_hold_commas_quotes_and_line_ends() -> None:
    rows = table(b'a,b\n"x,""y""","one\ntwo"\nlast,1\n', plain=False)
    assert [data(row) for row in rows] == [
        {"a": 'x,"y"', "b": "one\ntwo"},
        {"a": "last", "b": 1},
    ]
    assert [row.number for row in rows] == [3, 4]


def test_rows_of_another_length_or_no_utf8_are_refused_and_the_others_are_not() -> None:
    rows = table(b"a,b\n1\n\xff,2\n1,2,3\n3,4\n", plain=False)
    assert [row.reason for row in rows] == [
        "The row has 1 cells, the header 2.",
        "The row is not UTF-8.",
        "The row has 3 cells, the header 2.",
        "",
    ]
    assert rows[1].text == b"\xff,2"


@pytest.mark.parametrize("content", [b"", b"a,,b\n1,2,3\n", b"a,a\n1,2\n", b"\n1,2\n"])
def test_a_header_that_names_no_columns_ends_the_import(content: bytes) -> None:
    with pytest.raises(Failed):
        table(content, plain=False)


def test_an_id_column_that_is_not_there_ends_the_import() -> None:
    with pytest.raises(Failed, match="no column 'id'"):
        table(b"a,b\n", "id", plain=False)
