"""The laws of `ports.store` on dead letters, and on changing a record as it stands."""

from __future__ import annotations

import msgspec
import pytest
from tests.contract.stores import (
    Stores,
    at,
    insert,
    listed,
    load,
    mark,
    new_collection,
    read,
    replace,
    state,
)

from penstock.ports.store import Store
from penstock.records.letter import Letter
from penstock.records.position import Position
from penstock.records.record import State


def letter(offset: int, collection: str, record_id: str, partition: int = 0) -> Letter:
    content = bytes(range(256))
    position = at(offset, partition)
    return Letter(position, 1_000 + offset, "t", collection, record_id, content, "why", at(0))


async def put_aside(store: Store, *letters: Letter) -> None:
    async with store.batch() as batch:
        await batch.put_aside(letters)


async def swap(store: Store, collection: str, before: State | None, after: State) -> bool:
    async with store.batch() as batch:
        return await batch.swap(collection, before, after)


def parked(one: State, first: int, last: int) -> State:
    return msgspec.structs.replace(one, parked=at(first), parked_to=at(last))


class StoreLetterLaws:
    """To be inherited beside a fixture `stores`, a `Stores`."""

    async def test_a_letter_is_read_as_it_was_written(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        one = letter(7, collection, "a/\u6f22 'b'")
        unreadable = Letter(at(8), 5, "", "", "", b"\x00\xff", "no entry")
        await put_aside(store, one, unreadable)
        assert await store.letter(at(7)) == one
        assert await store.letter(at(8)) == unreadable
        assert await store.letter(at(9)) is None
        assert await (await stores.reopened(store)).letter(at(7)) == one

    async def test_letters_come_by_position_of_all_of_a_collection_of_a_record(
        self, stores: Stores
    ) -> None:
        store, one, other = await stores.fresh(), new_collection(), new_collection()
        a1, b2, a3 = letter(1, one, "a"), letter(2, one, "b"), letter(3, one, "a")
        far, foreign = letter(1, one, "c", partition=2), letter(4, other, "a")
        await put_aside(store, far, a3, foreign, a1, b2)
        assert await store.letters(None, None, None, 10) == [a1, b2, a3, foreign, far]
        assert await store.letters(None, None, at(2), 2) == [a3, foreign]
        assert await store.letters(one, None, None, 10) == [a1, b2, a3, far]
        assert await store.letters(one, None, Position(at(1)[:8]), 1) == [a1]
        assert await store.letters(one, "a", None, 10) == [a1, a3]
        assert await store.letters(one, "a", at(1), 10) == [a3]
        assert await store.letters(one, "z", None, 10) == []

    async def test_a_letter_written_again_takes_the_place_of_the_first(
        self, stores: Stores
    ) -> None:
        store, collection = await stores.fresh(), new_collection()
        first = letter(1, collection, "a")
        again = first._replace(reason="another")
        await put_aside(store, first)
        await put_aside(store, again, letter(2, collection, "a"))
        assert await store.letters(None, None, None, 10) == [again, letter(2, collection, "a")]

    async def test_removed_letters_are_gone(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        await put_aside(store, *(letter(number, collection, "a") for number in range(4)))
        async with store.batch() as batch:
            await batch.remove_letters([at(0), at(2), at(9)])
        left = await store.letters(None, None, None, 10)
        assert [one.position for one in left] == [at(1), at(3)]

    async def test_a_removed_collection_takes_its_letters_along(self, stores: Stores) -> None:
        store, one, other = await stores.fresh(), new_collection(), new_collection()
        stays, unreadable = letter(2, other, "a"), Letter(at(3), 5, "", "", "", b"", "no entry")
        await put_aside(store, letter(1, one, "a"), stays, unreadable)
        await store.remove(one)
        assert await store.letters(None, None, None, 10) == [stays, unreadable]

    async def test_a_record_is_swapped_as_it_stands(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        first = state("a", 1, b'{"n":1}', marks=(mark("p1", 1),))
        await insert(store, collection, [first])
        held = parked(first, 2, 3)
        assert await swap(store, collection, first, held)
        assert await load(store, collection, ["a"], ["a"]) == {"a": held}
        after = state("a", 3, b'{"n":3}', marks=(mark("p1", 1), mark("p3", 3)))
        assert await swap(store, collection, held, after)
        assert await load(store, collection, ["a"], ["a"]) == {"a": after}

    async def test_where_it_stands_otherwise_nothing_is_written(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        held = parked(state("a", 5), 7, 9)
        await insert(store, collection, [held])
        new = state("a", 20, b'{"new":true}')
        for before in (
            state("a", 5),
            parked(state("a", 4), 7, 9),
            parked(state("a", 5), 6, 9),
            parked(state("a", 5), 7, 10),
            parked(state("b", 5), 7, 9),
            None,
        ):
            assert not await swap(store, collection, before, new)
            assert await read(store, collection, "a") == held
        assert await swap(store, collection, held, new)

    async def test_a_record_that_never_was_is_swapped_in_once(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        stub = parked(State("a", Position(""), Position(""), 5, 5, None), 1, 1)
        assert await swap(store, collection, None, stub)
        assert not await swap(store, collection, None, stub)
        assert await read(store, collection, "a") == stub
        assert await listed(store, collection, None, 10, 0) == []

    @pytest.mark.parametrize("data", [b'{"n":1}', None])
    async def test_a_swap_without_data_leaves_the_data(
        self, stores: Stores, data: bytes | None
    ) -> None:
        store, collection = await stores.fresh(), new_collection()
        await insert(store, collection, [state("a", 1, data)])
        bare = parked(state("a", 1, msgspec.UNSET), 2, 2)
        assert await swap(store, collection, state("a", 1, msgspec.UNSET), bare)
        assert await read(store, collection, "a") == parked(state("a", 1, data), 2, 2)

    async def test_a_parked_record_takes_no_other_write(self, stores: Stores) -> None:
        store, collection = await stores.fresh(), new_collection()
        held = parked(state("a", 1), 2, 2)
        await insert(store, collection, [held])
        assert await replace(store, collection, [state("a", 3)]) == ["a"]
        assert await insert(store, collection, [state("a", 3)]) == ["a"]
        assert await read(store, collection, "a") == held
