"""The JSON that goes over the wire, apart from records themselves: each shape once, as a type.

The OpenAPI document is made from these. A record is sent as the canonical bytes that the store or
the cache hold; `Record` only describes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NewType

import msgspec
from msgspec import UNSET, UnsetType

from penstock.records.collection import CachePolicy, Collection, TimeToLive
from penstock.records.index import IndexSettings, IndexState, index_of
from penstock.records.record import timestamp

RecordData = NewType("RecordData", dict[str, Any])
"""What a client puts as a record or patch: `Data` in the OpenAPI document."""


class Pointed(msgspec.Struct, frozen=True):
    """One thing that is wrong: a JSON pointer (RFC 6901) into what was sent, and a sentence."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, rename={"violated_policies": "violated-policies"}):
    """RFC 9457. `code` is one of a closed set; `retryable` says whether to send it again.

    `violated-policies` names the quotas that are used up.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    request_id: str | UnsetType = UNSET
    errors: list[Pointed] | UnsetType = UNSET
    violated_policies: list[str] | UnsetType = UNSET


class Record(msgspec.Struct, frozen=True):
    """A record as it is read; `data` is what was put."""

    id: str
    version: str
    created_at: str
    updated_at: str
    data: RecordData


class Durable(msgspec.Struct, frozen=True):
    """The write is in the log. The receipt makes reads see it."""

    id: str
    receipt: str
    status: Literal["durable"] = "durable"


class Applied(msgspec.Struct, frozen=True):
    """The write has taken effect, now or, for a duplicate, earlier."""

    id: str
    receipt: str
    status: Literal["applied", "duplicate"]
    version: str | UnsetType = UNSET


class GetRecords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The records to get."""

    ids: list[str]


class GotRecords(msgspec.Struct, frozen=True):
    """Those found, in the order asked for, and the ids of those that are not there."""

    records: list[Record]
    missing: list[str]


class ReceiptStatus(msgspec.Struct, frozen=True):
    """What became of a write; `problem` says why it was rejected or put aside."""

    status: Literal["durable", "applied", "duplicate", "rejected", "quarantined"]
    id: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    created: bool | UnsetType = UNSET
    problem: Problem | UnsetType = UNSET


class IndexView(msgspec.Struct, frozen=True):
    """An index. While it is `building`, `progress` goes to 1 where the engine tells.

    It is `unfit` where a record (`record_id`) has an object or array in one of its fields.
    """

    fields: tuple[str, ...]
    array: bool
    state: Literal["building", "ready", "unfit"]
    progress: float | UnsetType = UNSET
    record_id: str | UnsetType = UNSET

    @classmethod
    def of(cls, settings: IndexSettings, state: IndexState | None) -> IndexView:
        if state is None:
            return cls(settings.fields, settings.array, "building")
        if state.unfit is not None:
            return cls(settings.fields, settings.array, "unfit", record_id=state.unfit)
        progress = UNSET if state.progress is None else state.progress
        word: Literal["building", "ready"] = "ready" if state.is_ready else "building"
        return cls(settings.fields, settings.array, word, progress)


class CollectionView(msgspec.Struct, frozen=True):
    """A collection as it is read."""

    name: str
    revision: int
    cache: CachePolicy
    created_at: str
    updated_at: str
    schema: Any = UNSET
    indexes: list[IndexView] | UnsetType = UNSET
    ttl: TimeToLive | UnsetType = UNSET

    @classmethod
    def of(cls, collection: Collection, states: Mapping[str, IndexState]) -> CollectionView:
        settings = collection.settings
        indexes = [IndexView.of(one, states.get(index_of(one).name)) for one in settings.indexes]
        return cls(
            collection.name,
            collection.revision,
            settings.cache,
            timestamp(collection.created_at),
            timestamp(collection.updated_at),
            settings.schema,
            indexes or UNSET,
            UNSET if settings.ttl is None else settings.ttl,
        )


class CollectionList(msgspec.Struct, frozen=True):
    """All collections, by name."""

    collections: list[CollectionView]


class BulkLine(msgspec.Struct, frozen=True):
    """A line of a bulk: `op` is `put` where there is an `id`, else `create`."""

    op: Literal["create", "put", "patch", "delete"] | UnsetType = UNSET
    id: str | UnsetType = UNSET
    data: RecordData | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET


class LineDurable(msgspec.Struct, frozen=True):
    """The line with this index (from 0) is in the log."""

    index: int
    id: str
    status: Literal["durable"] = "durable"


class LineRefused(msgspec.Struct, frozen=True):
    """The line with this index (from 0) was not written."""

    index: int
    problem: Problem
    id: str | UnsetType = UNSET


class BulkDone(msgspec.Struct, frozen=True, kw_only=True):
    """The last line of a bulk. The receipt covers all that was accepted."""

    done: Literal[True] = True
    accepted: int
    refused: int
    receipt: str | UnsetType = UNSET


class BulkFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The last line of a bulk that could not go on. The results before it stand."""

    done: Literal[False] = False
    accepted: int
    refused: int
    problem: Problem
    receipt: str | UnsetType = UNSET


class DeadLetter(msgspec.Struct, frozen=True):
    """An entry that could not be applied, or waits behind one.

    `reason` says what went wrong, `behind` names the entry it waits behind. One that is no entry of
    Penstock's has neither collection nor id. `data` and `message` are given where one is asked for.
    """

    position: str
    time: str
    collection: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    operation: str | UnsetType = UNSET
    operation_id: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    behind: str | UnsetType = UNSET
    if_match: str | UnsetType = UNSET
    if_absent: bool | UnsetType = UNSET
    data: Any = UNSET
    message: bytes | UnsetType = UNSET


class DeadLetterPage(msgspec.Struct, frozen=True):
    """Dead letters by position; a page may have fewer than asked for and not be the last."""

    dead_letters: list[DeadLetter]
    next_page_token: str | UnsetType = UNSET


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letter: all that waits on its record goes with it, from the first on."""

    position: str


class Replayed(msgspec.Struct, frozen=True):
    """How many went in; `left` is whether more waits, `reason` why the next one cannot."""

    replayed: int
    left: bool
    reason: str | UnsetType = UNSET


class Health(msgspec.Struct, frozen=True):
    """Whether the process is alive, or ready for requests, and if not, why."""

    status: Literal["ok", "unready"]
    reason: str | UnsetType = UNSET
