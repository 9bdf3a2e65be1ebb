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

    Raises `LogDiverged` where it is not.
    """
    applied = await store.applied()
    bounds = await log.bounds()
    start: dict[Partition, Position | None] = {}
    for partition in partitions:
        known = applied.get(partition)
        if known is None:
            verify_start(partition, bounds.get(partition))
        else:
            await verify(log, partition, known, bounds.get(partition))
        start[partition] = None if known is None else known.position
    return start


def verify_start(partition: Partition, bounds: Bounds | None) -> None:
    """Raise `LogDiverged` where an empty store cannot be built from what the log still holds."""
    if bounds is not None and bounds.start > 0:
        raise LogDiverged(
            f"Partition {partition.number} of generation {partition.generation}: the store has "
            f"applied nothing, but the log begins at offset {bounds.start} by now. Was the store "
            "deleted? Restore it from a backup; what came since is applied again."
        )


async def verify(log: Log, partition: Partition, applied: Applied, bounds: Bounds | None) -> None:
    """Raise `LogDiverged`, with a sentence for the operator, where going on would lose writes.

    Args:
        log: asked for its identity, and for the entry that was applied last.
        partition: the one to be read on.
        applied: how far the store reflects it.
        bounds: what the log holds of it now; None where it has no such partition.
    """
    where = f"Partition {partition.number} of generation {partition.generation}"
    offset = parse(applied.position).offset
    if applied.log != log.identity:
        raise LogDiverged(
            f"{where}: the log is {log.identity}, but the store was built from {applied.log}. "
            "Was the log deleted or replaced? Restore it, or start with an empty store."
        )
    if bounds is None or bounds.end <= offset:
        end = "nothing" if bounds is None else f"offsets below {bounds.end}"
        raise LogDiverged(f"{where}: the store has applied offset {offset}; the log holds {end}.")
    if bounds.start > offset + 1:
        raise LogDiverged(
            f"{where}: the store has applied up to offset {offset}, but the log begins at "
            f"{bounds.start}: entries between them were removed before they were applied."
        )
    entry = await log.entry(applied.position)
    if entry is not None and entry.operation.operation_id != applied.operation_id:
        raise LogDiverged(
            f"{where}: offset {offset} holds operation {entry.operation.operation_id}, but the "
            f"store applied {applied.operation_id} from there."
        )
