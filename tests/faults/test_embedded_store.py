"""The embedded store and catalog on a disk that is full, or fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from tests.contract.stores import at, insert, listed, new_collection, reached, read, replace, state
from tests.support.disk import Disk, broken, failing_disk, full
from tests.support.entropy import SeededEntropy

from penstock.adapters.embedded.catalog import EmbeddedCatalog
from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.rows import PARTITION
from penstock.adapters.embedded.store import EmbeddedStore
from penstock.errors import Unavailable
from penstock.records.collection import CachePolicy, Settings
from penstock.records.outcome import Outcome, Result


@pytest.fixture
def disk() -> Iterator[Disk]:
    with failing_disk() as one:
        yield one


@pytest.mark.parametrize("trouble", [full, broken])
async def test_a_slice_that_cannot_be_written_leaves_nothing_and_may_be_repeated(
    tmp_path: Path, disk: Disk, trouble: Callable[[], None]
) -> None:
    store, collection = EmbeddedStore(tmp_path / "store.db", SystemClock()), new_collection()

    async def apply(offset: int) -> None:
        async with store.batch() as batch:
            await batch.replace(collection, [state(f"r{number}", offset) for number in range(100)])
            outcome = Outcome(at(offset), Result.QUARANTINED, 1)
            await batch.conclude([outcome], {PARTITION: reached(offset)})

    await apply(1)
    disk.before_write = trouble
    for _ in range(3):
        with pytest.raises(Unavailable, match="store_unavailable"):
            await apply(2)
        assert await store.applied() == {PARTITION: reached(1)}
        assert await read(store, collection, "r5") == state("r5", 1)
        assert await store.outcome(at(2)) is None
    disk.heal()
    await apply(2)
    assert await store.applied() == {PARTITION: reached(2)}
    assert await read(store, collection, "r5") == state("r5", 2)
    await store.close()


async def test_what_cannot_be_removed_or_swept_is_still_there(tmp_path: Path, disk: Disk) -> None:
    store, collection = EmbeddedStore(tmp_path / "store.db", SystemClock()), new_collection()
    await insert(store, collection, [state("r", 1, gc_at=5)])
    disk.before_write = full
    with pytest.raises(Unavailable):
        await store.remove(collection)
    with pytest.raises(Unavailable):
        await store.sweep(10, 10)
    disk.heal()
    assert await read(store, collection, "r") == state("r", 1, gc_at=5)
    assert await store.sweep(10, 10) == 1
    await store.remove(collection)
    assert await listed(store, collection, None, 10, 0) == []
    await store.close()


async def test_a_store_that_could_not_be_synchronised_is_not_settled(
    tmp_path: Path, disk: Disk
) -> None:
    """Else the log would be trimmed of what the machine may still lose."""
    store, collection = EmbeddedStore(tmp_path / "store.db", SystemClock()), new_collection()
    await insert(store, collection, [state("r", 1)])
    disk.before_sync = broken
    with pytest.raises(Unavailable):
        await store.settle()
    disk.heal()
    await store.settle()
    await store.close()


async def test_a_store_with_a_reader_in_the_way_is_not_settled(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store, collection = EmbeddedStore(path, SystemClock()), new_collection()
    store._writer.set_busy_timeout(1)
    await insert(store, collection, [state("r", 1)])
    reader = apsw.Connection(str(path))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM applied").fetchall()
    await replace(store, collection, [state("r", 2)])
    with pytest.raises(Unavailable):
        await store.settle()
    reader.execute("COMMIT")
    await store.settle()
    reader.close()
    await store.close()


@pytest.mark.parametrize("trouble", [full, broken])
async def test_a_catalog_that_cannot_be_written_stays_as_it_was(
    tmp_path: Path, disk: Disk, trouble: Callable[[], None]
) -> None:
    path = tmp_path / "catalog.db"
    catalog = EmbeddedCatalog(path, SeededEntropy(1))
    kept = await catalog.put("t", "kept", Settings(), 1_000)
    dropped = await catalog.put("t", "dropped", Settings(), 1_000)
    await catalog.drop("t", "dropped", 2_000)
    changed = Settings(cache=CachePolicy(ttl="1s"))
    disk.before_write = trouble
    with pytest.raises(Unavailable, match="store_unavailable"):
        await catalog.put("t", "new", Settings(), 3_000)
    with pytest.raises(Unavailable):
        await catalog.put("t", "kept", changed, 3_000)
    with pytest.raises(Unavailable):
        await catalog.drop("t", "kept", 3_000)
    with pytest.raises(Unavailable):
        await catalog.forget(dropped.id)
    disk.heal()
    for reopen in (False, True):
        if reopen:
            await catalog.close()
            catalog = EmbeddedCatalog(path, SeededEntropy(2))
        assert await catalog.list("t") == [kept]
        assert await catalog.settings(kept.id, 2) is None
        assert [one.id for one in await catalog.dropped()] == [dropped.id]
    assert (await catalog.put("t", "kept", changed, 4_000)).revision == 2
    await catalog.close()
