"""What an operator does with dead letters: see them, replay them, drop them.

A letter counts while its record says that it holds the entry back; one left by a crash does not.
Replaying and dropping change the record only where it stands as it was read, fence and parking, so
that neither a worker nor another operator is overtaken; whatever breaks off can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from penstock.apply.aside import reason_of
from penstock.apply.fold import Folded, Limits, fold
from penstock.apply.refresh import Refresh
from penstock.apply.rulebook import Rulebook
from penstock.errors import NotFound, Unavailable
from penstock.ports.store import Store, StoreBatch
from penstock.records.letter import Letter
from penstock.records.operation import Entry
from penstock.records.outcome import Outcome, Result
from penstock.records.position import Position
from penstock.records.record import State

_PART: Final = 200
_TRIES: Final = 10
_NOBODY: Final = ""
"""The tenant of what cannot be read."""


class LetterPage(NamedTuple):
    """Some dead letters, and where to go on; None at the end."""

    letters: list[Letter]
    next_after: Position | None


class Replayed(NamedTuple):
    """What a replay did.

    Attributes:
        folded: how many letters of the record went in.
        is_done: whether none is left.
        reason: why the next one still cannot be applied.
    """

    folded: int
    is_done: bool
    reason: str | None = None


class Quarantine:
    """Dead letters of one tenant at a time; with `unreadable`, those that nobody can read too.

    The latter may hold anything of anybody, and are for the operator alone.
    """

    def __init__(self, store: Store, rulebook: Rulebook, refresh: Refresh, limits: Limits) -> None:
        self._store = store
        self._rulebook = rulebook
        self._refresh = refresh
        self._limits = limits

    async def page(
        self,
        tenant: str,
        collection_id: str | None,
        after: Position | None,
        size: int,
        *,
        unreadable: bool = False,
    ) -> LetterPage:
        """Dead letters by position, of a collection or of all: at most `size`, maybe fewer."""
        own: list[Letter] = []
        # Where others' letters stand tells nothing either, not even by a page that ends early.
        while len(own) <= size:
            found = await self._store.letters(collection_id, None, after, size + 1)
            own += [one for one in found if _is_of(one, tenant, unreadable=unreadable)]
            if len(found) <= size:
                break
            after = found[-1].position
        more = own[size - 1].position if len(own) > size else None
        return LetterPage([one for one in own[:size] if await self._counts(one)], more)

    async def letter(self, tenant: str, position: Position, *, unreadable: bool = False) -> Letter:
        """One of them. Raises `NotFound` (`dead_letter_not_found`)."""
        letter = await self._store.letter(position)
        if letter is None or not _is_of(letter, tenant, unreadable=unreadable):
            raise NotFound("dead_letter_not_found")
        if not await self._counts(letter):
            raise NotFound("dead_letter_not_found")
        return letter

    async def replay(
        self, tenant: str, position: Position, *, unreadable: bool = False
    ) -> Replayed:
        """Fold what waits on the record of this letter, in order, until one cannot be applied.

        At most `_PART` of them at once. Raises `NotFound`, `Unavailable`.
        """
        letter = await self.letter(tenant, position, unreadable=unreadable)
        if not letter.is_readable:
            return Replayed(0, is_done=False, reason=letter.reason)
        for _ in range(_TRIES):
            async with self._store.batch() as batch:
                state = await _load(batch, letter)
                if state is None or state.parked is None:
                    return Replayed(0, is_done=True)
                done = await self._replay(batch, letter.collection_id, state)
            if done is not None:
                replayed, written = done
                await self._refresh.tell({letter.collection_id: written})
                return replayed
        raise _changing()

    async def drop(self, tenant: str, position: Position, *, unreadable: bool = False) -> None:
        """Remove a letter: what it asked for never happens. Raises `NotFound`, `Unavailable`."""
        letter = await self.letter(tenant, position, unreadable=unreadable)
        for _ in range(_TRIES):
            async with self._store.batch() as batch:
                if await self._let_go(batch, letter):
                    await batch.remove_letters([letter.position])
                    return
        raise _changing()

    async def _counts(self, letter: Letter) -> bool:
        if not letter.is_readable:
            return True
        states = await self._store.get(letter.collection_id, [letter.record_id])
        state = states.get(letter.record_id)
        return state is not None and state.holds_back(letter.position)

    async def _waiting(self, collection_id: str, state: State, after: Position) -> list[Letter]:
        found = await self._store.letters(collection_id, state.record_id, after, _PART + 1)
        return [one for one in found if state.holds_back(one.position)]

    async def _replay(
        self, batch: StoreBatch, collection_id: str, state: State
    ) -> tuple[Replayed, list[State]] | None:
        """One part, and what was written; None where the record has changed meanwhile."""
        letters = await self._waiting(collection_id, state, state.fence)
        entries = [one.entry for one in letters[:_PART]]
        folded, count, error = await self._fold(batch, collection_id, state, entries)
        if not count and letters:
            assert error is not None
            await batch.put_aside([letters[0]._replace(reason=reason_of(error))])
            return Replayed(0, is_done=False, reason=reason_of(error)), []
        after = self._moved(state, folded.state, letters[count:])
        # As in the worker: what goes beside the record is there before it.
        if folded.spilled:
            await batch.spill(collection_id, folded.spilled)
        await batch.conclude(folded.outcomes, {})
        if not await batch.swap(collection_id, state, after):
            return None
        await batch.remove_letters([one.position for one in letters[:count]])
        reason = None if error is None else reason_of(error)
        return Replayed(count, after.parked is None, reason), [after]

    async def _fold(
        self, batch: StoreBatch, collection_id: str, state: State, entries: Sequence[Entry]
    ) -> tuple[Folded, int, Exception | None]:
        """Fold as many as can be; returns how many, and what the next one raises."""
        rules = await self._rulebook.open(
            collection_id, {entry.operation.revision for entry in entries}
        )
        asked = [(state.record_id, entry.operation.operation_id) for entry in entries]
        older = await batch.spilled(collection_id, asked) if state.spilled else {}
        marks = {operation_id: mark for (_, operation_id), mark in older.items()}
        folded = Folded(None, (), ())
        for count in range(1, len(entries) + 1):
            try:
                folded = fold(state, entries[:count], rules.__getitem__, marks, self._limits)
            except Exception as error:  # noqa: BLE001  # whatever a defect of ours may raise
                return folded, count - 1, error
        return folded, len(entries), None

    async def _let_go(self, batch: StoreBatch, letter: Letter) -> bool:
        """Let the record go on without this one; False where it has changed meanwhile."""
        if not letter.is_readable:
            return True
        state = await _load(batch, letter)
        if state is None or not state.holds_back(letter.position):
            return True
        # It stays what it was for whoever has the receipt.
        outcome = Outcome(letter.position, Result.QUARANTINED, letter.time)
        await batch.conclude([outcome], {})
        if letter.position != state.parked:
            return True
        left = await self._waiting(letter.collection_id, state, letter.position)
        passed = msgspec.structs.replace(state, fence=letter.position, data=msgspec.UNSET)
        return await batch.swap(letter.collection_id, state, self._moved(state, passed, left))

    def _moved(self, before: State, after: State | None, left: Sequence[Letter]) -> State:
        """The record as it is to stand when these letters are left."""
        after = after or msgspec.structs.replace(before, data=msgspec.UNSET)
        if left:
            first = left[0].position
            return msgspec.structs.replace(
                after, parked=first, parked_to=before.parked_to, gc_at=None
            )
        assert before.parked_to is not None
        exists = before.data is not None if after.data is msgspec.UNSET else after.data is not None
        gc_at = after.gc_at or self._gc_at(after, exists=exists)
        return msgspec.structs.replace(
            after, fence=before.parked_to, parked=None, parked_to=None, gc_at=gc_at
        )

    def _gc_at(self, state: State, *, exists: bool) -> int | None:
        """When it may go: parking has taken that away from it."""
        since = state.expires_at if exists else state.updated_at
        return None if since is None else since + self._limits.keep_ms


async def _load(batch: StoreBatch, letter: Letter) -> State | None:
    record_id = letter.record_id
    found = await batch.load(letter.collection_id, [record_id], [record_id])
    return found.get(record_id)


def _is_of(letter: Letter, tenant: str, *, unreadable: bool) -> bool:
    return letter.tenant == tenant or (unreadable and letter.tenant == _NOBODY)


def _changing() -> Unavailable:
    return Unavailable("store_unavailable", retry_after=1, internal="the record changes all along")
