"""How an operation stands in a Kafka message.

The value is the operation's JSON, the key decides the partition, and the rest is in headers after
the CloudEvents Kafka protocol binding, version 1.0.2, binary content mode: any other consumer can
read the topic. `ce_traceparent` is of the CloudEvents extension for distributed tracing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, cast
from urllib.parse import quote, unquote

import msgspec
from confluent_kafka import Message

from penstock.records.operation import Entry, Kind, Operation, Unreadable
from penstock.records.position import Position

_pack: Final = msgspec.msgpack.Encoder().encode

_Headers = list[tuple[str, str | bytes | None]]

_TYPE: Final = "penstock."
_SOURCE: Final = "/tenants/"
_MEDIA_TYPES: Final = {Kind.PATCH: b"application/merge-patch+json"}
_JSON: Final = b"application/json"
_KINDS: Final = {(_TYPE + kind.word).encode(): int(kind) for kind in Kind}


def headers_of(operation: Operation) -> _Headers:
    """The headers of an operation's message."""
    common = _common(operation.kind, operation.tenant, operation.revision)
    headers = [*common, ("ce_id", operation.operation_id.encode())]
    if operation.if_match is not None:
        headers.append(("ce_ifmatch", operation.if_match.encode()))
    if operation.if_absent:
        headers.append(("ce_ifabsent", b"true"))
    if operation.trace:
        headers.append(("ce_traceparent", operation.trace.encode()))
    return headers


def entry_of(message: Message, position: Position) -> Entry:
    """The entry that a message is; `Unreadable` for what no Penstock wrote."""
    _, time = message.timestamp()
    try:
        headers = dict(cast("list[tuple[str, bytes]]", message.headers() or ()))
        key = message.key() or b""
        collection_id, _, record_id = key.decode().partition("/")
        if_match = headers.get("ce_ifmatch")
        operation = Operation(
            _KINDS[headers["ce_type"]],
            _tenant(headers["ce_source"]),
            collection_id,
            record_id,
            headers["ce_id"].decode(),
            message.value() or b"",
            int(headers["ce_revision"]),
            None if if_match is None else if_match.decode(),
            "ce_ifabsent" in headers,
            headers.get("ce_traceparent", b"").decode(),
        )
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raw = _pack((message.key(), message.value(), message.headers()))
        nothing = Operation(int(Kind.DELETE), "", "", "", f"unreadable.{position}")
        return Unreadable(position, time, nothing, raw, f"no entry of Penstock's: {error!r}")
    return Entry(position, time, operation)


@lru_cache(maxsize=4096)
def _common(kind: int, tenant: str, revision: int) -> _Headers:
    return [
        ("content-type", _MEDIA_TYPES.get(Kind(kind), _JSON)),
        ("ce_specversion", b"1.0"),
        ("ce_type", (_TYPE + Kind(kind).word).encode()),
        ("ce_source", (_SOURCE + quote(tenant, safe="")).encode()),
        ("ce_revision", b"%d" % revision),
    ]


@lru_cache(maxsize=4096)
def _tenant(source: bytes) -> str:
    return unquote(source.decode().removeprefix(_SOURCE))
