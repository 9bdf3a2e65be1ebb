"""How positions, outcomes and dead letters stand in MongoDB."""

from __future__ import annotations

from typing import Final

import msgspec
from bson.datetime_ms import DatetimeMS

from penstock.adapters.mongodb.connection import Collection, Document
from penstock.ports.store import Applied
from penstock.records.letter import Letter
from penstock.records.outcome import Outcome
from penstock.records.position import Position

_PARTITION_DIGITS: Final = 8


def outcome_document(outcome: Outcome) -> Document:
    document: Document = msgspec.to_builtins(outcome)
    position = document.pop("position")
    return {"_id": position, **document, "time": DatetimeMS(outcome.time)}


def outcome_of(document: Document) -> Outcome:
    fields = {**document, "position": document["_id"], "time": int(document["time"])}
    return msgspec.convert(fields, Outcome)


def letter_document(letter: Letter) -> Document:
    fields = letter._asdict()
    return {"_id": fields.pop("position"), **fields, "time": DatetimeMS(letter.time)}


def letter_of(document: Document) -> Letter:
    fields = {**document, "position": document["_id"], "time": int(document["time"])}
    del fields["_id"]
    return Letter(**fields)


def applied_of(document: Document) -> Applied:
    return Applied(
        Position(document["position"]),
        document["log"],
        document["operation_id"],
        int(document["time"]),
    )


async def move(collection: Collection, applied: Applied) -> None:
    """Put it in the place of its partition's, unless that is higher."""
    partition = applied.position[:_PARTITION_DIGITS]
    document = {
        "_id": partition,
        "position": applied.position,
        "log": applied.log,
        "operation_id": applied.operation_id,
        "time": DatetimeMS(applied.time),
    }
    higher = {"$gt": ["$position", applied.position]}
    kept = {"$cond": [higher, "$$ROOT", {"$literal": document}]}
    await collection.update_one({"_id": partition}, [{"$replaceWith": kept}], upsert=True)
