"""Writing one record: create, put, patch, delete."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import quote

import msgspec

from penstock.api import body, headers
from penstock.api.messages import Applied, Durable
from penstock.api.problem import answer
from penstock.api.request import Request, invalid_parameter
from penstock.api.response import JSON, Header, Headers, Response
from penstock.api.route import JSON_TYPES, PATCH_TYPES
from penstock.api.services import Services
from penstock.errors import DeadlineExceeded, Malformed, OutcomeUnknown, Unavailable
from penstock.ingest import Accepted, Write
from penstock.query import Settled
from penstock.records.collection import Target
from penstock.records.operation import Kind
from penstock.records.outcome import Result
from penstock.records.scope import Verb
from penstock.telemetry.logs import logger

_JSON_MEDIA: Final = frozenset(one.encode() for one in JSON_TYPES)
_PATCH_MEDIA: Final = frozenset(one.encode() for one in PATCH_TYPES)
_NO_BODY: Final[frozenset[bytes]] = frozenset()
_APPLIED_PREFERENCE: Final[Header] = (b"preference-applied", b"wait")

_log = logger("api")
_encode = msgspec.json.Encoder().encode


async def create(services: Services, request: Request) -> Response:
    """Create a record with an id of our making."""
    return await _write(services, request, Kind.CREATE, None, _JSON_MEDIA)


async def put(services: Services, request: Request) -> Response:
    """Create or replace a record."""
    return await _write(services, request, Kind.PUT, request.record_id, _JSON_MEDIA)


async def patch(services: Services, request: Request) -> Response:
    """Change a record by a merge patch."""
    return await _write(services, request, Kind.PATCH, request.record_id, _PATCH_MEDIA)


async def delete(services: Services, request: Request) -> Response:
    """Delete a record."""
    return await _write(services, request, Kind.DELETE, request.record_id, _NO_BODY)


async def _write(
    services: Services,
    request: Request,
    kind: Kind,
    given_id: str | None,
    media: frozenset[bytes],
) -> Response:
    wait_s = _wait(request)
    key = headers.idempotency_key(request.headers)
    conditions = headers.conditions(request.headers)
    _check_conditions(kind, conditions)
    target = await services.access.target(request.principal, request.collection, Verb.WRITE)
    if media:
        data = await body.whole(request, media, services.configuration.max_body_bytes)
    else:
        body.refuse_body(request.headers)
        data = b""
    write = Write(
        kind, given_id, data, key, conditions.if_match, conditions.if_absent, request.birth
    )
    # Past this line, only the log knows whether the write was appended.
    request.guard.late = OutcomeUnknown
    accepted = await services.ingest.write(target, write, request.deadline)
    if wait_s is not None:
        request.waits = True
        settled = await _settled(services, request, accepted, wait_s)
        if settled is not None:
            return _settled_answer(request, target, kind, accepted, settled)
    return _durable_answer(target, kind, accepted)


def _check_conditions(kind: Kind, conditions: headers.Conditions) -> None:
    if conditions.if_absent and kind is not Kind.PUT:
        raise Malformed("invalid_header", "Only a put takes If-None-Match.")
    if conditions.if_match is not None and kind is Kind.CREATE:
        raise Malformed("invalid_header", "A create takes no If-Match.")


def _wait(request: Request) -> float | None:
    """Seconds for which to wait for the apply at most; None for not at all."""
    ack = request.query.get("ack")
    if ack is None:
        return headers.wait_seconds(request.headers)
    if ack not in ("applied", "durable"):
        raise invalid_parameter("ack", "is applied or durable")
    return float("inf") if ack == "applied" else None


async def _settled(
    services: Services, request: Request, accepted: Accepted, wait_s: float
) -> Settled | None:
    """What became of the write; None where that is not known in time.

    The write is durable by now, and whatever goes wrong here cannot make it less so.
    """
    request.guard.late = DeadlineExceeded
    until = min(request.deadline, services.clock.monotonic() + wait_s)
    receipt = services.receipts.read(accepted.receipt, request.principal.tenant)
    try:
        async with asyncio.timeout_at(until):
            return await services.query.settled(receipt, until)
    except (TimeoutError, Unavailable):
        return None
    except Exception:  # noqa: BLE001  # because a 500 would deny a write that is durable
        _log.exception("outcome_not_read", request_id=request.request_id)
        return None


def _durable_answer(target: Target, kind: Kind, accepted: Accepted) -> Response:
    content = _encode(Durable(accepted.record_id, accepted.receipt))
    return Response(202, (JSON, *_headers(target, kind, accepted)), content)


def _settled_answer(
    request: Request, target: Target, kind: Kind, accepted: Accepted, settled: Settled
) -> Response:
    """As if the operation had been applied alone."""
    more = (*_headers(target, kind, accepted), _APPLIED_PREFERENCE)
    if settled.error is not None:
        return answer(settled.error, request.request_id, more)
    version = settled.version
    if version is not None and kind is not Kind.DELETE:
        more = (*more, (b"etag", b'"%b"' % version.encode()))
    content = Applied(
        accepted.record_id,
        accepted.receipt,
        "duplicate" if settled.result is Result.DUPLICATE else "applied",
        msgspec.UNSET if version is None else version,
    )
    return Response(201 if settled.created else 200, (JSON, *more), _encode(content))


def _headers(target: Target, kind: Kind, accepted: Accepted) -> Headers:
    receipt: Header = (b"penstock-receipt", accepted.receipt.encode())
    if kind is not Kind.CREATE:
        return (receipt,)
    place = f"/v1/collections/{target.collection.name}/records/{quote(accepted.record_id, safe='')}"
    return receipt, (b"location", place.encode())
