"""What the laws of searching have in common: collections to search, and walking through pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.contract.stores import insert, new_collection, state

from penstock.adapters.embedded.clock import SystemClock
from penstock.ports.store import Store
from penstock.query.find import Finder
from penstock.query.plan import Plan
from penstock.records.collection import Collection, Rules, Settings, Target
from penstock.records.document import encode
from penstock.records.record import State


async def filled(store: Store, documents: Sequence[dict[str, Any]]) -> str:
    collection = new_collection()
    assert await insert(store, collection, states_of(documents)) == []
    return collection


def states_of(documents: Sequence[dict[str, Any]]) -> list[State]:
    return [state(f"{n:02}", n + 1, encode(one)) for n, one in enumerate(documents)]


async def walk(store: Store, collection: str, made: Plan, size: int) -> list[str]:
    """The ids on all pages, forward; backward from the last one they must be the same."""
    clock = SystemClock()
    finder, target = Finder(store, clock), target_of(collection)
    until = clock.monotonic() + 60
    pages: list[list[str]] = []
    mark, first, has_more = None, None, True
    while has_more:
        found, has_more = await finder.find(
            target, made, mark, size, 10**9, backward=False, deadline=until
        )
        pages.append([one.state.record_id for one in found])
        mark = found[-1].mark if found else None
        first = found[0].mark if found else None
    forward = [one for page in pages for one in page]
    assert len(set(forward)) == len(forward)
    if len(pages) > 1 and made.merged is False:
        behind: list[str] = []
        has_more = True
        while has_more:
            found, has_more = await finder.find(
                target, made, first, size, 10**9, backward=True, deadline=until
            )
            behind = [one.state.record_id for one in found] + behind
            first = found[0].mark if found else None
        assert behind == forward[: len(behind)]
        assert len(behind) == len(forward) - len(pages[-1])
    return forward


def target_of(collection_id: str) -> Target:
    collection = Collection(collection_id, "t", "c", 1, Settings(), 0, 0)
    return Target("t", collection, Rules(Settings()))
