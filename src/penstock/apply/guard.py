"""Whether the log is still the one that the store was built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.errors import LogDiverged
from penstock.ports.log import Bounds, Log
from penstock.ports.store import Applied, Store
from penstock.records.position import Partition, Position, parse


async def starts(
    log: Log, store: Store, partitions: Sequence[Partition]
) -> Mapping[Partition, Position | None]:
    """Where to read on: the store decides, once it is clear that this is still its log.

    A generation whose predecessors are not applied to their end is left out: what it holds of a
    record comes after what they hold. Raises `LogDiverged` where it is not the store's log.
    """
    # In this order: what is applied is in the log that is looked at then.
    applied = await store.applied()
    bounds = await log.bounds()
    newest = _begun(bounds, applied)
    start: dict[Partition, Position | None] = {}
    for partition in partitions:
        known = applied.get(partition)
        if partition.generation > newest:
            continue
        if known is None:
            verify_start(partition, bounds.get(partition))
        else:
            await verify(log, partition, known, bounds.get(partition))
        start[partition] = None if known is None else known.position
    return start


async def stands(log: Log, store: Store) -> None:
    """Raise `LogDiverged` where the log is not what it was, as far as can be told cheaply."""
    applied = await store.applied()
    bounds = await log.bounds()
    for partition, known in applied.items():
        if partition in bounds:
            _compare(log, partition, known, bounds[partition])


def _begun(bounds: Mapping[Partition, Bounds], applied: Mapping[Partition, Applied]) -> int:
    """The newest generation that may be read: all before it are applied to their final end."""
    generations = sorted({partition.generation for partition in bounds})
    for generation in generations[:-1]:
        for partition, (_, end) in bounds.items():
            known = applied.get(partition)
            reached = 0 if known is None else parse(known.position).offset + 1
            if partition.generation == generation and reached < end:
                return generation
    return generations[-1] if generations else 0


def verify_start(partition: Partition, bounds: Bounds | None) -> None:
    """Raise `LogDiverged` where an empty store cannot be built from what the log still holds."""
    if bounds is not None and bounds.start > 0:
        raise LogDiverged(
            f"{_named(partition)}: the store has applied nothing, but the log begins at offset "
            f"{bounds.start} by now. Was the store deleted? Restore it from a backup; what came "
            "since is applied again."
        )


async def verify(log: Log, partition: Partition, applied: Applied, bounds: Bounds | None) -> None:
    """Raise `LogDiverged`, with a sentence for the operator, where going on would lose writes.

    Args:
        log: asked for its identity, and for the entry that was applied last.
        partition: the one to be read on.
        applied: how far the store reflects it.
        bounds: what the log holds of it now; None where it has no such partition.
    """
    _compare(log, partition, applied, bounds)
    entry = await log.entry(applied.position)
    if entry is not None and entry.operation.operation_id != applied.operation_id:
        raise LogDiverged(
            f"{_named(partition)}: offset {parse(applied.position).offset} holds operation "
            f"{entry.operation.operation_id}, but the store applied {applied.operation_id} from "
            "there."
        )


def _compare(log: Log, partition: Partition, applied: Applied, bounds: Bounds | None) -> None:
    where = _named(partition)
    offset = parse(applied.position).offset
    if bounds is None:
        raise LogDiverged(f"{where}: the store has applied offset {offset}; the log holds nothing.")
    identity = log.identity(partition.generation)
    if applied.log != identity:
        raise LogDiverged(
            f"{where}: the log is {identity}, but the store was built from {applied.log}. "
            "Was the log deleted or replaced? Restore it, or start with an empty store."
        )
    if bounds.end <= offset:
        raise LogDiverged(
            f"{where}: the store has applied offset {offset}; the log holds offsets below "
            f"{bounds.end}."
        )
    if bounds.start > offset + 1:
        raise LogDiverged(
            f"{where}: the store has applied up to offset {offset}, but the log begins at "
            f"{bounds.start}: entries between them were removed before they were applied."
        )


def _named(partition: Partition) -> str:
    return f"Partition {partition.number} of generation {partition.generation}"
