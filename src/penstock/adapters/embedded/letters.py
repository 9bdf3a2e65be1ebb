"""How dead letters stand in the store's file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import apsw
import msgspec

from penstock.adapters.embedded.database import query
from penstock.records.letter import Letter
from penstock.records.position import Position

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS letters(
    position TEXT PRIMARY KEY,
    collection_id TEXT NOT NULL,
    record_id TEXT NOT NULL,
    letter BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS letters_record ON letters(collection_id, record_id, position);
"""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Letter).decode


def read(
    connection: apsw.Connection,
    collection_id: str | None,
    record_id: str | None,
    after: Position | None,
    limit: int,
) -> list[Letter]:
    """Those asked for, by position; see `ports.store.Store.letters`."""
    rows = query(
        connection,
        "SELECT letter FROM letters WHERE position > ? AND (?2 IS NULL OR collection_id = ?2)"
        " AND (?3 IS NULL OR record_id = ?3) ORDER BY position LIMIT ?4",
        (after or "", collection_id, record_id, limit),
    )
    return [_decode(row[0]) for row in rows]


def read_one(connection: apsw.Connection, position: Position) -> Letter | None:
    rows = query(connection, "SELECT letter FROM letters WHERE position = ?", (position,))
    return _decode(rows[0][0]) if rows else None


def put(connection: apsw.Connection, letters: Sequence[Letter]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO letters VALUES (?, ?, ?, ?)",
        ((one.position, one.collection_id, one.record_id, _encode(one)) for one in letters),
    )


def remove(connection: apsw.Connection, positions: Sequence[Position]) -> None:
    connection.executemany("DELETE FROM letters WHERE position = ?", ((one,) for one in positions))


def remove_all(connection: apsw.Connection, collection_id: str) -> None:
    connection.execute("DELETE FROM letters WHERE collection_id = ?", (collection_id,))
