"""How SQLite reads an index: in its order, from where a page begins, by a plan made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.contract.stores import insert, state

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.database import connect
from penstock.adapters.embedded.scans import stretches
from penstock.adapters.embedded.store import EmbeddedStore
from penstock.records.index import BY_ID, Index, IndexSettings, Range, cut, index_of
from penstock.records.scan import Scan

COLLECTION = "c000000000000000"
NOW = 10_000


@pytest.fixture(params=[("data.a",), ("-data.a", "data.b"), ("data.a", "-updated_at"), ()])
async def held(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Index]:
    """A store of 100 records with an index, of which the first field has four values."""
    index = index_of(IndexSettings(request.param)) if request.param else BY_ID
    store = EmbeddedStore(tmp_path / "store.db", SystemClock())
    records = [
        state(f"r{n:03}", n, data=b'{"a":%d,"b":%d}' % (n % 4, n % 3)) for n in range(1, 101)
    ]
    await insert(store, COLLECTION, records)
    if index is not BY_ID:
        await store.build(COLLECTION, index)
    await store.close()
    return tmp_path / "store.db", index


def statements(index: Index, *, reverse: bool) -> list[tuple[str, tuple[Any, ...]]]:
    """Of a page that begins behind a record in the middle."""
    key = index.key("r050", 1_000, 1_050, {"a": 2, "b": 2})
    rest = cut(Range(), index.order, key, reverse=reverse)
    assert rest is not None
    table = f"records_{COLLECTION}"
    parts = list(stretches(table, Scan(index, (rest,), reverse), NOW))
    assert len(parts) == len(index.order)
    return [
        (
            f"SELECT {table}.id FROM {source} WHERE {held} ORDER BY {order} LIMIT ?",
            (*bindings, 20),
        )
        for (source, held, order), bindings in parts
    ]


@pytest.mark.parametrize("reverse", [False, True])
async def test_nothing_is_sorted_wherever_a_page_begins(
    held: tuple[Path, Index], *, reverse: bool
) -> None:
    path, index = held
    connection = connect(path, "NORMAL")
    for sql, bindings in statements(index, reverse=reverse):
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
        assert len(steps) == 1, steps
        assert steps[0].startswith("SEARCH") or index is BY_ID
    connection.close()


async def test_a_statement_is_planned_once_whatever_it_is_given(held: tuple[Path, Index]) -> None:
    path, index = held
    connection = connect(path, "NORMAL")
    planned = 0

    def planning(*_: object) -> int:
        nonlocal planned
        planned += 1
        return apsw.SQLITE_OK

    # It is asked whenever a statement is made.
    connection.authorizer = planning
    for round_ in range(3):
        for sql, bindings in statements(index, reverse=False):
            connection.execute(sql, bindings).fetchall()
        if round_ == 0:
            assert planned > 0
            planned = 0
    assert planned == 0
    connection.close()
