"""Making and removing indexes of the store's tables.

An index of scalars is SQLite's own, on an expression; one of arrays is a table that triggers keep.
Building holds the turn to write: what is acknowledged meanwhile waits in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

import apsw

from penstock.adapters.embedded import states
from penstock.adapters.embedded.database import Readers, check_time, query, store_errors
from penstock.adapters.embedded.filters import ATOM, each_element, expression, json_path
from penstock.adapters.embedded.scans import ELEMENT, elements_of, index_name
from penstock.records.field import Field
from penstock.records.index import BY_ID, MOST_TEXT, Index, IndexState

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS unfit(
    name TEXT PRIMARY KEY,
    record_id TEXT NOT NULL
) WITHOUT ROWID;
"""

Writing = Callable[[], AbstractAsyncContextManager[apsw.Connection]]


class Indexing:
    """The indexes of all tables."""

    def __init__(self, readers: Readers, writing: Writing) -> None:
        self._readers = readers
        self._writing = writing

    async def indexes(
        self, collection_id: str, time_s: float | None = None
    ) -> Mapping[str, IndexState]:
        check_time(time_s)
        table = states.table_of(collection_id)
        # Names stand for themselves: GLOB's own characters are in none.
        patterns = (f"{table}_i*", f"{elements_of(table)}_i*")
        with store_errors():
            connection = self._readers.connection
            made = query(
                connection,
                "SELECT name FROM sqlite_schema WHERE type IN ('index', 'table')"
                " AND (name GLOB ? OR name GLOB ?)",
                patterns,
            )
            unfit = query(
                connection,
                "SELECT name, record_id FROM unfit WHERE name GLOB ? OR name GLOB ?",
                patterns,
            )
        found = {_own(row[0]): IndexState(is_ready=True) for row in made}
        found |= {_own(row[0]): IndexState(is_ready=False, unfit=row[1]) for row in unfit}
        # That of the ids is there always.
        found.pop(BY_ID.name, None)
        return found

    async def build(self, collection_id: str, index: Index) -> None:
        table = states.table_of(collection_id)
        async with self._writing() as writer:
            await asyncio.to_thread(_build, writer, table, index)

    async def unbuild(self, collection_id: str, name: str) -> None:
        table = states.table_of(collection_id)
        scalar, elements = f"{table}_{name}", f"{elements_of(table)}_{name}"
        async with self._writing() as writer:
            writer.execute(f"DROP INDEX IF EXISTS {scalar}")
            for when in _WHEN:
                writer.execute(f"DROP TRIGGER IF EXISTS {elements}_{when}")
            writer.execute(f"DROP TABLE IF EXISTS {elements}")
            writer.execute("DELETE FROM unfit WHERE name IN (?, ?)", (scalar, elements))


def remove_all(writer: apsw.Connection, table: str) -> None:
    """What a table of records leaves behind when it is dropped, with its triggers and indexes."""
    for row in query(
        writer,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ?",
        (f"{elements_of(table)}_i*",),
    ):
        writer.execute(f"DROP TABLE {row[0]}")
    writer.execute(
        "DELETE FROM unfit WHERE name GLOB ? OR name GLOB ?",
        (f"{table}_i*", f"{elements_of(table)}_i*"),
    )


def _own(name: str) -> str:
    return name.rpartition("_")[2]


def _build(writer: apsw.Connection, table: str, index: Index) -> None:
    states.create_table(writer, table)
    name = index_name(table, index)
    misfits = " OR ".join(
        sql for one in index.fields for sql in _misfit(one.field, is_array=index.is_array)
    )
    if misfits:
        found = query(
            writer, f"SELECT id FROM {table} WHERE data IS NOT NULL AND ({misfits}) LIMIT 1"
        )
        if found:
            writer.execute("INSERT OR REPLACE INTO unfit VALUES (?, ?)", (name, found[0][0]))
            return
    writer.execute("DELETE FROM unfit WHERE name = ?", (name,))
    if index.is_array:
        _build_elements(writer, table, name, index.fields[0].field)
        return
    columns = ", ".join(
        f"({expression(one.field)}){' DESC' if one.descending else ''}" for one in index.fields
    )
    writer.execute(
        f"CREATE INDEX IF NOT EXISTS {name} ON {table}({columns}, id) WHERE data IS NOT NULL"
    )


def _misfit(field: Field, *, is_array: bool) -> Iterator[str]:
    """Where a record does not fit into an index: see `Rules.check`."""
    if not field.path:
        return
    for length in range(1, len(field.path)):
        yield f"json_type(data, {json_path(Field('', field.path[:length]))}) = 'array'"
    path = json_path(field)
    if not is_array:
        yield f"json_type(data, {path}) = 'array'"
    yield f"json_type(data, {path}) = 'object'"
    yield (
        f"EXISTS(SELECT 1 FROM json_each({each_element('data', field)}) AS leaf"
        f" WHERE leaf.type IN ('object', 'array') OR octet_length(leaf.atom) > {MOST_TEXT})"
    )


_WHEN: Final = ("insert", "update", "delete")


def _build_elements(writer: apsw.Connection, table: str, name: str, field: Field) -> None:
    writer.execute(
        f"CREATE TABLE IF NOT EXISTS {name}({ELEMENT}, id TEXT NOT NULL,"
        f" PRIMARY KEY ({ELEMENT}, id)) WITHOUT ROWID"
    )
    elements = "SELECT {atom}, {of}.id FROM json_each({each}) AS leaf WHERE {of}.data IS NOT NULL"

    def select(of: str) -> str:
        return elements.format(atom=ATOM, of=of, each=each_element(f"{of}.data", field))

    insert = f"INSERT OR IGNORE INTO {name} {select('new')};"
    delete = f"DELETE FROM {name} WHERE ({ELEMENT}, id) IN ({select('old')});"
    for when, on, what in zip(
        _WHEN,
        ("INSERT", "UPDATE OF data", "DELETE"),
        (insert, delete + insert, delete),
        strict=True,
    ):
        writer.execute(
            f"CREATE TRIGGER IF NOT EXISTS {name}_{when} AFTER {on} ON {table} BEGIN {what} END"
        )
    atom, each = ATOM, each_element("data", field)
    writer.execute(
        f"INSERT OR IGNORE INTO {name} SELECT {atom}, {table}.id FROM {table},"
        f" json_each({each}) AS leaf WHERE data IS NOT NULL"
    )
