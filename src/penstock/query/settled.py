"""What became of a write."""

from __future__ import annotations

from typing import Final, NamedTuple

from penstock.errors import (
    Conflict,
    Invalid,
    Malformed,
    NotFound,
    PenstockError,
    PreconditionFailed,
)
from penstock.ports.clock import Clock
from penstock.ports.store import Store
from penstock.query.freshness import Freshness, all_reached
from penstock.records.operation import CLIENT_RETENTION_MS
from penstock.records.outcome import Outcome, Result
from penstock.records.position import Position
from penstock.records.receipt import Receipt
from penstock.records.record import Effect

_ERRORS: Final[dict[str, type[PenstockError]]] = {
    "record_exists": Conflict,
    "precondition_failed": PreconditionFailed,
    "record_not_found": NotFound,
    "collection_not_found": NotFound,
    "schema_violation": Invalid,
    "record_too_large": Invalid,
    "quarantined": Conflict,
}


_KEPT_MS: Final = CLIENT_RETENTION_MS - 600_000
"""For how long an outcome is kept for certain."""


class Settled(NamedTuple):
    """What became of a write, once it was applied.

    Attributes:
        result: applied, duplicate, rejected or quarantined.
        version: that the write, or the one it repeats, gave the record; None for a bulk, or where
            it gave none.
        created: whether it created the record; None where that is no longer known.
        error: for a rejection, or the repetition of one, what it is answered.
    """

    result: Result
    version: Position | None = None
    created: bool | None = None
    error: PenstockError | None = None


class Outcomes:
    """Looks up what became of writes."""

    def __init__(self, store: Store, freshness: Freshness, clock: Clock) -> None:
        self._store = store
        self._freshness = freshness
        self._clock = clock

    async def of(self, receipt: Receipt, deadline: float) -> Settled | None:
        """What became of it; None where it is durable and not applied yet.

        Raises `Malformed` (`invalid_receipt`) where that is not known any more, and `Unavailable`,
        by the deadline (monotonic seconds) at the latest.
        """
        if not all_reached(await self._freshness.reach(deadline), receipt.positions):
            return None
        return await self._settled(receipt, deadline)

    async def wait(self, receipt: Receipt, deadline: float) -> Settled | None:
        """The same, waiting for it until the deadline (monotonic seconds)."""
        if not await self._freshness.reached(receipt.positions, deadline):
            return None
        return await self._settled(receipt, deadline)

    async def _settled(self, receipt: Receipt, deadline: float) -> Settled:
        if not receipt.record_id:
            return Settled(Result.APPLIED)
        (position,) = receipt.positions
        outcome = await self._store.outcome(position, self._left(deadline))
        if outcome is None:
            return await self._applied(receipt, position, Result.APPLIED, deadline)
        if outcome.result is not Result.DUPLICATE:
            return Settled(outcome.result, error=_error(outcome))
        return await self._duplicate(receipt, outcome, deadline)

    async def _applied(
        self, receipt: Receipt, position: Position, result: Result, deadline: float
    ) -> Settled:
        mark = await self._store.mark(
            receipt.collection_id,
            receipt.record_id,
            receipt.operation_id,
            self._left(deadline),
        )
        known = mark is not None and mark.position == position
        if not known and await self._is_held_back(receipt, position, deadline):
            return Settled(Result.QUARANTINED, error=Conflict("quarantined"))
        if not known and receipt.time < self._clock.now() - _KEPT_MS:
            # Its outcome, had there been one, would be gone too: "applied" would be a guess.
            detail = "The receipt is a day old: what became of the write is not kept any longer."
            raise Malformed("invalid_receipt", detail)
        if known and mark and mark.effect == Effect.REJECTED:
            return Settled(Result.REJECTED, error=PreconditionFailed("precondition_failed"))
        return Settled(result, position, mark.effect == Effect.CREATED if known and mark else None)

    async def _is_held_back(self, receipt: Receipt, position: Position, deadline: float) -> bool:
        states = await self._store.get(
            receipt.collection_id, [receipt.record_id], self._left(deadline)
        )
        state = states.get(receipt.record_id)
        return state is not None and state.holds_back(position)

    async def _duplicate(self, receipt: Receipt, outcome: Outcome, deadline: float) -> Settled:
        """As the first one came out."""
        assert outcome.first is not None, "a duplicate's outcome names the first"
        if outcome.effect != Effect.REJECTED:
            return await self._applied(receipt, outcome.first, Result.DUPLICATE, deadline)
        first = await self._store.outcome(outcome.first, self._left(deadline))
        error = PreconditionFailed("precondition_failed") if first is None else _error(first)
        return Settled(Result.DUPLICATE, error=error)

    def _left(self, deadline: float) -> float:
        return deadline - self._clock.monotonic()


def _error(outcome: Outcome) -> PenstockError:
    code = outcome.code or "quarantined"
    return _ERRORS[code](code, outcome.detail, faults=outcome.faults)
