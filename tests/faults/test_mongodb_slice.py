"""A worker killed after any command to MongoDB, and the slice applied again."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from pymongo import AsyncMongoClient
from tests.faults.mongodb_slice import CATALOG, SLICES, apply, first
from tests.support.defect import a_defect
from tests.support.servers.mongodb import MongoDB

from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.mongodb.catalog import MongoCatalog
from penstock.records.collection import Settings

_AT_ONCE = 4
ROOT = Path(__file__).parents[2]


class Scene(NamedTuple):
    """A collection, the server that it is on, and all databases with a copy of it."""

    url: str
    client: AsyncMongoClient[dict[str, Any]]
    collection_id: str
    slice: str
    databases: list[str]

    async def prepared(self) -> str:
        """A database where the first slice is applied."""
        database = f"test_{uuid4().hex}"
        self.databases.append(database)
        await apply(self.url, database, first(self.collection_id))
        return database

    async def killed(self, database: str, after: int) -> bool:
        """Whether the process that applies the second slice dies at that command."""
        command = [sys.executable, "-m", "tests.faults.mongodb_slice"]
        arguments = [self.url, database, self.collection_id, self.slice, str(after)]
        process = await asyncio.create_subprocess_exec(
            *command, *arguments, cwd=ROOT, stderr=subprocess.PIPE
        )
        _, told = await process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), told.decode()
        return process.returncode == -signal.SIGKILL

    async def apply(self, database: str) -> None:
        await apply(self.url, database, SLICES[self.slice](self.collection_id))

    async def found(self, database: str) -> dict[str, Any]:
        """All documents, by physical collection and id."""
        names = await self.client[database].list_collection_names()
        return {
            name: {one["_id"]: one async for one in self.client[database][name].find()}
            for name in names
        }


class Results(NamedTuple):
    """What is in the databases, by physical collection and id, in the end.

    Attributes:
        expected: where one process applied the slice uninterrupted.
        killed: where another one was killed before, by the number of commands after which.
    """

    expected: dict[str, Any]
    killed: dict[int, dict[str, Any]]


@pytest.fixture(
    scope="module",
    params=[
        *((name, 3) for name in SLICES),
        *(pytest.param((name, 1), marks=pytest.mark.long) for name in SLICES),
    ],
    ids=lambda param: f"{param[0]}, every {param[1]}",
)
def results(mongodb: MongoDB, request: pytest.FixtureRequest) -> Results:
    with a_defect():
        return asyncio.run(everything(mongodb.url, *request.param))


async def everything(url: str, slice_: str, stride: int) -> Results:
    catalog = MongoCatalog(url, CATALOG, SystemEntropy())
    made = await catalog.put("t", uuid4().hex, Settings(), 1)
    await catalog.close()
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        scene = Scene(url, client, made.id, slice_, [])
        try:
            return await killed_everywhere(scene, stride)
        finally:
            for database in [*scene.databases, CATALOG]:
                await client.drop_database(database)


async def killed_everywhere(scene: Scene, stride: int) -> Results:
    """Until one is not killed any more, for it has no more commands."""
    whole = await scene.prepared()
    await scene.apply(whole)
    results = Results(await scene.found(whole), {})
    died, after = True, 1
    while died:
        # Some at once, for most of the time goes into starting them.
        places = range(after, after + stride * _AT_ONCE, stride)
        wave = await asyncio.gather(*(killed_at(scene, place) for place in places))
        results.killed.update(zip(places, (found for _, found in wave), strict=True))
        died = all(one_died for one_died, _ in wave)
        after = places.stop
    return results


async def killed_at(scene: Scene, after: int) -> tuple[bool, dict[str, Any]]:
    """Whether the process died there, and what is found after another one has gone on."""
    database = await scene.prepared()
    died = await scene.killed(database, after)
    await scene.apply(database)
    return died, await scene.found(database)


def test_the_slice_is_long_enough_to_be_killed_in_its_midst(results: Results) -> None:
    assert max(results.killed) > 10
    written = {name.split("_")[0] for name, documents in results.expected.items() if documents}
    beside = {"letters"} if results.expected["letters"] else {"outcomes", "spilled"}
    assert written == {"records", "applied", *beside}


def test_a_slice_that_a_kill_interrupted_comes_out_as_if_it_had_not(results: Results) -> None:
    for after, found in results.killed.items():
        for name in results.expected.keys() - {"outcomes"}:
            assert found[name] == results.expected[name], f"{name}, killed after command {after}"


def test_no_outcome_is_lost_by_a_kill(results: Results) -> None:
    for after, found in results.killed.items():
        assert found["outcomes"] == results.expected["outcomes"], f"killed after command {after}"
