"""How states stand in MongoDB.

A collection has a physical one of its own: `{_id, fence, version, created_at, updated_at,
expires_at?, gc_at?, ops, spilled?, parked?, parked_to?, tombstone?, data?}`, times as dates, so
that any MongoDB tool can read and query it. A tombstone says so, to be known without its data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from bson.datetime_ms import DatetimeMS

from penstock.adapters.mongodb.connection import Document
from penstock.adapters.mongodb.names import escape, needs_unescape, unescape
from penstock.records.record import Mark, State

_decode: Final = msgspec.json.Decoder().decode
# The driver reads a 64-bit integer as a subclass of `int`.
_encode: Final = msgspec.json.Encoder(enc_hook=int).encode


def document_of(state: State) -> Document:
    document: Document = {
        "_id": state.record_id,
        "fence": state.fence,
        "version": state.version,
        "created_at": DatetimeMS(state.created_at),
        "updated_at": DatetimeMS(state.updated_at),
        "ops": [stored_mark(one) for one in state.marks],
    }
    if state.expires_at is not None:
        document["expires_at"] = DatetimeMS(state.expires_at)
    if state.gc_at is not None:
        document["gc_at"] = DatetimeMS(state.gc_at)
    if state.spilled:
        document["spilled"] = True
    if state.parked is not None:
        document["parked"] = state.parked
        document["parked_to"] = state.parked_to
    if state.data is None:
        document["tombstone"] = True
    elif state.data is not msgspec.UNSET:
        document["data"] = escape(_decode(state.data), state.data)
    return document


def state_of(document: Document) -> State:
    """The state; its data is UNSET unless it was read, but None for a tombstone."""
    get = document.get
    data: bytes | msgspec.UnsetType | None = msgspec.UNSET
    if "data" in document:
        data = _json_of(document["data"])
    elif get("tombstone"):
        data = None
    return State(
        document["_id"],
        document["fence"],
        document["version"],
        int(document["created_at"]),
        int(document["updated_at"]),
        data,
        _milliseconds(get("expires_at")),
        _milliseconds(get("gc_at")),
        tuple([mark_of(one) for one in get("ops", ())]),
        get("spilled", False),
        get("parked"),
        get("parked_to"),
    )


def stored_mark(mark: Mark) -> tuple[Any, ...]:
    return mark.operation_id, mark.position, DatetimeMS(mark.time), mark.effect


def mark_of(stored: Sequence[Any]) -> Mark:
    operation_id, position, time, effect = stored
    return Mark(operation_id, position, int(time), effect)


def _milliseconds(date: DatetimeMS | None) -> int | None:
    return None if date is None else int(date)


def _json_of(data: Any) -> bytes:
    text = _encode(data)
    return _encode(unescape(data)) if needs_unescape(text) else text
