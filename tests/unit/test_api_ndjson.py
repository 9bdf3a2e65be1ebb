"""A stream is split into lines, however it is cut, and no line is kept beyond its limit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from penstock.api.ndjson import MOST_LINES, Line, LineSplitter, groups
from penstock.errors import PenstockError

LIMIT = 8


def split(pieces: Iterable[bytes], limit: int = LIMIT) -> list[bytes | str]:
    """The lines; of a refused one, the code."""
    splitter = LineSplitter(limit)
    lines: list[Line] = []
    for piece in pieces:
        lines += splitter.feed(piece)
    return [named(line) for line in lines + splitter.finish()]


def named(line: Line) -> bytes | str:
    return line.code if isinstance(line, PenstockError) else line


def expected(text: bytes) -> list[bytes | str]:
    """The rule, said the slow way: over the whole text at once."""
    parts = text.split(b"\n")
    if parts[-1] == b"":
        parts.pop()
    if parts and parts[-1] in (b"", b"\r"):
        parts.pop()
    return [
        "invalid_line" if part in (b"", b"\r") else "line_too_large" if len(part) > LIMIT else part
        for part in parts
    ]


@given(
    st.text(alphabet="ab\r\n", max_size=60),
    st.lists(st.integers(0, 60), max_size=8),
)
def test_lines_are_the_same_however_the_stream_is_cut(text: str, cuts: list[int]) -> None:
    stream = text.encode()
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(places)]
    assert split(pieces) == expected(stream)


def test_the_last_line_needs_no_end() -> None:
    assert split([b"one\ntw", b"o"]) == [b"one", b"two"]


def test_a_blank_line_is_refused_but_for_the_last() -> None:
    assert split([b"a\n\nb\n\n"]) == [b"a", "invalid_line", b"b"]


def test_a_line_of_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert split([b"12345678\n123456789\nabc\n"]) == [b"12345678", "line_too_large", b"abc"]


def test_a_long_line_is_not_kept() -> None:
    splitter = LineSplitter(LIMIT)
    for _ in range(100):
        assert splitter.feed(b"x" * 1000) == []
        assert len(splitter._tail) <= LIMIT
    assert [named(line) for line in splitter.feed(b"x\nnext\n")] == ["line_too_large", b"next"]


async def test_a_piece_of_many_lines_becomes_groups_of_bounded_size() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"x\n" * (2 * MOST_LINES + 1)

    sizes = [len(group) async for group in groups(pieces(), LineSplitter(LIMIT))]
    assert sizes == [MOST_LINES, MOST_LINES, 1]
