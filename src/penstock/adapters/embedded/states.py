"""How states stand in the store's tables, and the few large statements that move them.

A collection has a table of its own: rows in order of arrival, and a unique index on the id, so that
random ids touch only the index. Rows are read as one JSON text and written many to a statement: the
driver lets go of the interpreter at every step, and getting it back beside a busy thread takes
longer than the step (docs/decisions/0002).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from penstock.adapters.embedded.database import placeholders, query
from penstock.records.position import Position
from penstock.records.record import Mark, State

_COLUMNS: Final = (
    "id", "fence", "version", "created_at", "updated_at", "expires_at", "gc_at", "marks",
    "spilled", "parked", "parked_to", "data",
)  # fmt: skip
_ROWS: Final = 64
_ID: Final = re.compile(r"[0-9a-z]{1,64}")

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS {table}(
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    fence TEXT NOT NULL,
    version TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER,
    gc_at INTEGER,
    marks TEXT NOT NULL,
    spilled INTEGER NOT NULL,
    parked TEXT,
    parked_to TEXT,
    data TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS {table}_id ON {table}(id);
CREATE INDEX IF NOT EXISTS {table}_gc ON {table}(gc_at) WHERE gc_at IS NOT NULL;
"""


class Row(NamedTuple):
    """A row as it is read; `marks` is JSON, `data` None for a tombstone or where not asked for."""

    id: str
    fence: str
    version: str
    created_at: int
    updated_at: int
    expires_at: int | None
    gc_at: int | None
    marks: str
    spilled: int
    parked: str | None
    parked_to: str | None
    exists: int
    data: str | None


_decode_rows: Final = msgspec.json.Decoder(list[Row]).decode
_decode_ids: Final = msgspec.json.Decoder(list[str]).decode
_decode_marks: Final = msgspec.json.Decoder(tuple[Mark, ...]).decode
_encode: Final = msgspec.json.Encoder().encode


def table_of(collection_id: str) -> str:
    """The table's name. Ids are ours, so a foreign character is a defect."""
    assert _ID.fullmatch(collection_id), collection_id
    return f"records_{collection_id}"


def create_table(connection: apsw.Connection, table: str) -> None:
    connection.execute(_TABLE.format(table=table))


def tables(connection: apsw.Connection) -> set[str]:
    """The tables of all collections that have any record."""
    found = query(
        connection, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'records_*'"
    )
    return {row[0] for row in found}


def has_table(connection: apsw.Connection, table: str) -> bool:
    return bool(query(connection, "SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)))


_READ: Final = (
    "json_array(id, fence, version, created_at, updated_at, expires_at, gc_at, {marks}, spilled,"
    " parked, parked_to, data IS NOT NULL, {data})"
)


def read(
    connection: apsw.Connection,
    table: str,
    record_ids: Collection[str],
    *,
    marks: bool,
    data: bool,
) -> list[Row]:
    """The rows of these records, in no order."""
    row = _READ.format(marks="marks" if marks else "'[]'", data="data" if data else "NULL")
    sql = (
        f"SELECT json_group_array({row}) FROM {table} WHERE id IN (SELECT value FROM json_each(?))"
    )
    return rows(connection, sql, (_encode(list(record_ids)).decode(),))


ROW: Final = _READ.format(marks="'[]'", data="data") + " AS row"
"""A row as one value, for a statement that selects nothing else; see `together`."""


def together(sql: str) -> str:
    """The statement for all rows of one that selects `ROW`, in its order, as one text.

    A row is one value from where it is read: SQLite copies each value of a row at every step out of
    a query within another.
    """
    return f"SELECT '[' || ifnull(group_concat(row, ','), '') || ']' FROM ({sql})"


def rows(connection: apsw.Connection, sql: str, bindings: Sequence[Any]) -> list[Row]:
    """The rows that a statement brings together."""
    return _decode_rows(query(connection, sql, bindings)[0][0])


def state_of(row: Row, *, data: bool) -> State:
    """The state of a row; its data is UNSET unless `data` was read, but None for a tombstone."""
    body: bytes | msgspec.UnsetType | None = msgspec.UNSET
    if not row.exists:
        body = None
    elif data:
        assert row.data is not None
        body = row.data.encode()
    return State(
        row.id,
        Position(row.fence),
        Position(row.version),
        row.created_at,
        row.updated_at,
        body,
        row.expires_at,
        row.gc_at,
        _decode_marks(row.marks),
        bool(row.spilled),
        None if row.parked is None else Position(row.parked),
        None if row.parked_to is None else Position(row.parked_to),
    )


def insert(connection: apsw.Connection, table: str, states: Sequence[State]) -> list[str]:
    """Insert what is not there; returns the ids that were."""
    existing: list[str] = []
    for part in _parts(states):
        connection.execute(_insert_sql(table, len(part)), _bindings(part))
        if connection.changes() < len(part):
            fresh = _inserted(connection, table)
            existing.extend(one.record_id for one in part if one.record_id not in fresh)
    return existing


def replace(connection: apsw.Connection, table: str, states: Sequence[State]) -> list[str]:
    """Write where the stored fence is lower and nothing is parked; returns the ids not written.

    One that stands with the very fence given is not among them: it was our own retry.
    """
    refused: list[str] = []
    for keep in (False, True):
        chosen = [state for state in states if (state.data is msgspec.UNSET) is keep]
        for part in _parts(chosen):
            connection.execute(_replace_sql(table, len(part), keep), _bindings(part))
            if connection.changes() < len(part):
                refused.extend(_not_written(connection, table, part))
    return refused


def swap(connection: apsw.Connection, table: str, before: State, after: State) -> bool:
    """Write where fence and parking are as they were; returns whether it was."""
    keep = after.data is msgspec.UNSET
    names = [one for one in _COLUMNS[1:] if not (keep and one == "data")]
    values = dict(zip(_COLUMNS, _bindings([after]), strict=True))
    connection.execute(
        f"UPDATE {table} SET {', '.join(f'{one} = ?' for one in names)}"
        " WHERE id = ? AND fence = ? AND parked IS ? AND parked_to IS ?",
        (
            *(values[one] for one in names),
            *(before.record_id, before.fence, before.parked, before.parked_to),
        ),
    )
    return connection.changes() == 1


def _parts(states: Sequence[State]) -> Iterable[Sequence[State]]:
    return (states[start : start + _ROWS] for start in range(0, len(states), _ROWS))


def _inserted(connection: apsw.Connection, table: str) -> set[str]:
    """The ids that the last statement inserted: it numbered them upwards, without a gap."""
    count = connection.changes()
    if not count:
        return set()
    before = connection.last_insert_rowid() - count
    rows = query(
        connection, f"SELECT json_group_array(id) FROM {table} WHERE number > ?", (before,)
    )
    return set(_decode_ids(rows[0][0]))


def _not_written(connection: apsw.Connection, table: str, states: Sequence[State]) -> list[str]:
    """Those whose stored fence is not ours."""
    rows = read(connection, table, [one.record_id for one in states], marks=False, data=False)
    stored = {row.id: row.fence for row in rows}
    return [one.record_id for one in states if stored.get(one.record_id) != one.fence]


@lru_cache(maxsize=1024)
def _insert_sql(table: str, rows: int) -> str:
    return (
        f"INSERT INTO {table}({', '.join(_COLUMNS)}) VALUES {placeholders(rows, len(_COLUMNS))}"
        " ON CONFLICT(id) DO NOTHING"
    )


@lru_cache(maxsize=1024)
def _replace_sql(table: str, rows: int, keep: bool) -> str:  # noqa: FBT001  # a cache key
    changed = [one for one in _COLUMNS[1:] if not (keep and one == "data")]
    assignments = ", ".join(f"{one} = excluded.{one}" for one in changed)
    return (
        f"INSERT INTO {table}({', '.join(_COLUMNS)}) VALUES {placeholders(rows, len(_COLUMNS))}"
        f" ON CONFLICT(id) DO UPDATE SET {assignments}"
        " WHERE excluded.fence > fence AND parked IS NULL"
    )


def _bindings(states: Sequence[State]) -> tuple[Any, ...]:
    return tuple(
        chain.from_iterable(
            (
                one.record_id,
                one.fence,
                one.version,
                one.created_at,
                one.updated_at,
                one.expires_at,
                one.gc_at,
                _encode(one.marks).decode(),
                one.spilled,
                one.parked,
                one.parked_to,
                one.data.decode() if isinstance(one.data, bytes) else None,
            )
            for one in states
        )
    )
