"""Compressed bodies are undone in bounded steps, however they are cut."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from itertools import islice

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.coding import PIECE_BYTES, Decoder, Gzip, Zstd, decoder
from penstock.errors import Malformed, Unsupported

MIB = 1024 * 1024
GZIP_BOMB = gzip.compress(bytes(300 * MIB))
ZSTD_BOMB = zstandard.ZstdCompressor().compress(bytes(300 * MIB))


def compressed(coding: str, data: bytes) -> bytes:
    return gzip.compress(data) if coding == "gzip" else zstandard.ZstdCompressor().compress(data)


def fresh(coding: str) -> Decoder:
    return Gzip() if coding == "gzip" else Zstd()


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@given(data=st.binary(max_size=5000), cuts=st.lists(st.integers(0, 5000), max_size=5))
def test_what_was_compressed_comes_back_however_it_is_cut(
    coding: str, data: bytes, cuts: list[int]
) -> None:
    wire = compressed(coding, data)
    undone, decoding, start = b"", fresh(coding), 0
    for cut in [*sorted(cuts), len(wire)]:
        undone += b"".join(decoding.pieces(wire[start:cut]))
        start = max(start, cut)
    decoding.finish()
    assert undone == data


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_one_after_another_are_one_body(coding: str) -> None:
    decoding = fresh(coding)
    wire = compressed(coding, b"one ") + compressed(coding, b"two")
    assert b"".join(decoding.pieces(wire)) == b"one two"
    decoding.finish()


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("kept", [0, 3, 12, -1])
def test_a_body_cut_short_is_refused_at_its_end(coding: str, kept: int) -> None:
    decoding = fresh(coding)
    list(decoding.pieces(compressed(coding, b"some text, some text")[:kept]))
    with pytest.raises(Malformed) as refused:
        decoding.finish()
    assert refused.value.code == "invalid_body"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_what_is_not_compressed_is_refused(coding: str) -> None:
    with pytest.raises(Malformed) as refused:
        list(fresh(coding).pieces(b'{"plain": "json"}'))
    assert refused.value.code == "invalid_body"


def test_damage_in_the_middle_is_refused() -> None:
    wire = bytearray(gzip.compress(b"some text, some other text" * 100))
    wire[len(wire) // 2] ^= 0xFF
    with pytest.raises(Malformed):
        list(Gzip().pieces(bytes(wire)))


@pytest.mark.parametrize(("coding", "bomb"), [("gzip", GZIP_BOMB), ("zstd", ZSTD_BOMB)])
def test_a_bomb_takes_no_more_memory_than_a_piece_however_much_it_holds(
    coding: str, bomb: bytes
) -> None:
    tracemalloc.start()
    taken = sum(map(len, islice(fresh(coding).pieces(bomb), 10)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken > PIECE_BYTES
    assert peak < 20 * MIB


def test_a_gzip_piece_is_never_larger_than_said() -> None:
    assert max(map(len, islice(Gzip().pieces(GZIP_BOMB), 50))) == PIECE_BYTES


def test_the_last_byte_comes_out_where_the_output_ends_with_a_full_piece() -> None:
    data = bytes(2 * PIECE_BYTES)
    assert b"".join(Gzip().pieces(gzip.compress(data))) == data


def test_raw_deflate_is_no_gzip() -> None:
    with pytest.raises(Malformed):
        list(Gzip().pieces(zlib.compress(b"text")))


def test_a_zstd_frame_that_wants_a_huge_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    wire = compressor.compress(bytes(1000)) + compressor.flush()
    with pytest.raises(Malformed):
        list(Zstd().pieces(wire))


@pytest.mark.parametrize(
    ("value", "kind"),
    [(b"gzip", Gzip), (b"x-gzip", Gzip), (b"GZIP", Gzip), (b"zstd", Zstd), (b"identity", None)],
)
def test_the_header_chooses_the_coding(value: bytes, kind: type | None) -> None:
    chosen = decoder({b"content-encoding": value})
    assert (chosen is None) if kind is None else isinstance(chosen, kind)


@pytest.mark.parametrize("value", [b"br", b"deflate", b"gzip, gzip", b"gzip, zstd", b"*"])
def test_other_codings_are_not_taken(value: bytes) -> None:
    with pytest.raises(Unsupported) as refused:
        decoder({b"content-encoding": value})
    assert refused.value.code == "unsupported_encoding"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_many_small_parts_are_refused_and_many_whole_ones_taken(coding: str) -> None:
    whole, decoding = b"x" * 2048, fresh(coding)
    undone = b"".join(decoding.pieces(compressed(coding, whole) * 3000))
    assert undone == whole * 3000
    with pytest.raises(Malformed) as refused:
        list(fresh(coding).pieces(compressed(coding, b"x") * 1100))
    assert refused.value.code == "invalid_body"
