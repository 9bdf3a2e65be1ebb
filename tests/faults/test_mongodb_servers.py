"""The store where MongoDB is away, hangs, or has lost its primary."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.contract.stores import (
    READS,
    at,
    conclude,
    insert,
    listed,
    new_collection,
    reached,
    read,
    state,
)
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.node import free_ports

from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.mongodb.catalog import MongoCatalog
from penstock.adapters.mongodb.store import MongoStore
from penstock.errors import DeadlineExceeded, Unavailable
from penstock.ports.store import Store
from penstock.records.collection import Settings
from penstock.records.position import Partition, parse
from penstock.records.record import State

PARTITION = Partition(1, 0)
RECORDS = 20
BACK_S = 10
PATIENCE_S = 1.0
AGAIN_S = 0.02
HURRY_S = 0.2

T = TypeVar("T")

# The driver leaves a socket to the garbage collector where a connection that is being made is
# cancelled, as those of its monitors are when the client is closed.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """So that no later test meets such a socket."""
    yield
    gc.collect()


@asynccontextmanager
async def opened(url: str, timeout_s: float, database: str = "test") -> AsyncIterator[MongoStore]:
    store = MongoStore(url, database, timeout_s=timeout_s)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def replicas(mongodb: MongoDB, tmp_path: Path) -> Iterator[MongoDB]:
    """Three members; that one server can be had says the fixture asked for before."""
    three = MongoDB(tmp_path, members=3)
    try:
        three.start()
        yield three
    finally:
        three.stop()


async def refused(*calls: Awaitable[Any]) -> None:
    """Shows that all are refused for the moment, and not long after their time."""
    began = time.monotonic()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert time.monotonic() - began < PATIENCE_S + 1
    for answer in answers:
        assert isinstance(answer, Unavailable)
        assert (answer.code, answer.retry_after) == ("store_unavailable", 1)


async def all_refused(store: Store, collection: str) -> None:
    await refused(
        store.applied(),
        read(store, collection, "r"),
        listed(store, collection, None, 10, 0),
        store.outcome(at(1)),
        store.mark(collection, "r", "p1"),
        insert(store, collection, [state("r", 1)]),
        conclude(store, [], reached(1)),
        store.remove(collection),
    )


async def test_where_there_is_no_server_everything_is_refused_in_time() -> None:
    (port,) = free_ports(1)
    url = f"mongodb://127.0.0.1:{port}"
    async with opened(url, PATIENCE_S) as store:
        await all_refused(store, new_collection())
    catalog = MongoCatalog(url, "test", SystemEntropy(), timeout_s=PATIENCE_S)
    await refused(
        catalog.get("t", "orders"),
        catalog.by_id("0123456789abcdef"),
        catalog.put("t", "orders", Settings(), 1),
        catalog.drop("t", "orders", 1),
        catalog.dropped(),
    )
    await catalog.close()


async def test_a_server_that_hangs_refuses_in_time_and_serves_again_afterwards(
    mongodb: MongoDB,
) -> None:
    collection = new_collection()
    async with opened(mongodb.url, PATIENCE_S) as store:
        await insert(store, collection, [state("before", 1)])
        (node,) = mongodb.nodes
        node.pause()
        try:
            await all_refused(store, collection)
        finally:
            node.resume()
        await until_done(lambda: insert(store, collection, [state("after", 2)]))
        assert await read(store, collection, "before") == state("before", 1)
        assert await read(store, collection, "after") == state("after", 2)


async def test_a_server_that_hangs_takes_no_read_past_its_own_time(mongodb: MongoDB) -> None:
    collection = new_collection()
    async with opened(mongodb.url, 5) as store:
        await insert(store, collection, [state("r", 1)])
        (node,) = mongodb.nodes
        node.pause()
        try:
            began = time.monotonic()
            asked = [ask(store, collection, HURRY_S) for ask in READS.values()]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            taken = time.monotonic() - began
        finally:
            node.resume()
        assert [type(one) for one in answers] == [DeadlineExceeded] * len(READS)
        assert HURRY_S <= taken < 5 * HURRY_S


async def test_the_death_of_the_primary_loses_nothing_and_is_over_in_seconds(
    replicas: MongoDB,
) -> None:
    collection = new_collection()
    async with opened(replicas.url, 5) as writer, opened(replicas.url, 5) as reader:
        done = asyncio.Event()
        writing = asyncio.create_task(write(writer, collection, done))
        comparing = asyncio.create_task(compare(reader, collection, done))
        for _ in range(2):
            await progress(reader)
            primary = replicas.primary()
            assert primary is not None
            primary.kill()
            killed = time.monotonic()
            await progress(reader)
            assert time.monotonic() - killed < BACK_S
            primary.start()
        done.set()
        last = await writing
        assert await comparing > 2 * RECORDS
        assert await reader.applied() == {PARTITION: reached(last)}
        everything = await listed(reader, collection, None, 10 * last, 0)
        assert {one.record_id: one for one in everything} == {
            **{f"once{offset}": state(f"once{offset}", offset) for offset in range(last + 1)},
            **{f"r{offset % RECORDS}": rewritten(offset) for offset in range(last + 1)},
        }


def rewritten(offset: int) -> State:
    return state(f"r{offset % RECORDS}", offset)


async def write(store: Store, collection: str, done: asyncio.Event) -> int:
    """Slices of one new and one known record each, until it is done; returns the last offset."""
    offset = 0

    async def slice_() -> None:
        async with store.batch() as batch:
            await batch.insert(collection, [state(f"once{offset}", offset)])
            assert await batch.replace(collection, [rewritten(offset)]) == []
            await batch.conclude([], {PARTITION: reached(offset)})

    while True:
        await until_done(slice_)
        if done.is_set() and offset >= RECORDS:
            return offset
        offset += 1


async def compare(store: Store, collection: str, done: asyncio.Event) -> int:
    """Reads what is applied, until it is done; returns how often that could be had."""
    count = 0
    while not done.is_set():
        try:
            applied = await store.applied()
            if applied:
                offset = parse(applied[PARTITION].position).offset
                assert await read(store, collection, f"once{offset}") is not None
                found = await read(store, collection, f"r{offset % RECORDS}")
                assert found is not None
                assert found.fence >= at(offset)
                count += 1
        except Unavailable:
            await asyncio.sleep(AGAIN_S)
    return count


async def progress(store: Store) -> None:
    """Waits until as many slices more are applied as there are records to be written again."""
    first = await applied_offset(store)
    until = time.monotonic() + 2 * BACK_S
    while await applied_offset(store) < first + RECORDS:
        assert time.monotonic() < until, "nothing more is applied"
        await asyncio.sleep(AGAIN_S)


async def applied_offset(store: Store) -> int:
    applied = await until_done(store.applied)
    return parse(applied[PARTITION].position).offset if applied else 0


async def until_done(call: Callable[[], Awaitable[T]]) -> T:
    """Calls as long as it is refused for the moment."""
    until = time.monotonic() + 2 * BACK_S
    while True:
        try:
            return await call()
        except Unavailable:
            assert time.monotonic() < until, "it is refused for good"
            await asyncio.sleep(AGAIN_S)
