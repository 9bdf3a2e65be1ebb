"""Keys: create, list, get, revoke, rotate."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import msgspec
from msgspec import UNSET

from penstock.access import Made, Wanted
from penstock.api.body import refuse_body, whole
from penstock.api.document import convert
from penstock.api.messages_keys import KeyMade, KeyPage, KeyView, NewKey, Rotation
from penstock.api.request import Request, invalid_parameter, page_size, segment
from penstock.api.response import JSON, Header, Response
from penstock.api.route import JSON_TYPES
from penstock.api.services import Services
from penstock.errors import Fault, Malformed, OutcomeUnknown
from penstock.records.collection import milliseconds
from penstock.records.document import decode
from penstock.records.identifier import is_tenant
from penstock.records.key import Key
from penstock.records.scope import Rate, Scope, is_pattern

_MEDIA: Final = frozenset(one.encode() for one in JSON_TYPES)
_NEVER_STORED: Final[Header] = (b"cache-control", b"no-store")
_ID: Final = re.compile(r"[0-9a-f]{20}").fullmatch
_NAME: Final = re.compile("[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,100}").fullmatch
_MOST_SCOPES: Final = 50
_LAST_MS: Final = 253_370_764_800_000
"""The year 9999: beyond it, times have no text any more."""

_encode = msgspec.json.Encoder().encode


async def create(services: Services, request: Request) -> Response:
    """Make a key."""
    content = decode(await whole(request, _MEDIA, services.configuration.max_body_bytes))
    given = convert(content, NewKey, "invalid_body")
    request.subject = given.name
    _check(given)
    expires_at = None if given.expires_at is None else _moment(given.expires_at)
    wanted = Wanted(given.name, given.scopes, given.tenant, given.rate, expires_at)
    # Past this line, only the keyring knows whether there is such a key.
    request.guard.late = OutcomeUnknown
    made = await services.keys.create(request.principal, wanted)
    request.subject = f"{made.key.tenant}/{made.key.id}"
    return _shown_once(request, made)


async def page(services: Services, request: Request) -> Response:
    """Those of a tenant."""
    after = request.query.get("page_token")
    if after is not None and not _ID(after):
        raise Malformed("invalid_page_token")
    size = page_size(request, services.configuration)
    found = await services.keys.page(request.principal, _tenant(request), after or "", size + 1)
    next_after = found[size - 1].id if len(found) > size else UNSET
    content = KeyPage([KeyView.of(one) for one in found[:size]], next_after)
    return Response(200, (JSON, _NEVER_STORED), _encode(content))


async def get(services: Services, request: Request) -> Response:
    """One of them."""
    key = await _addressed(services, request)
    return Response(200, (JSON, _NEVER_STORED), _encode(KeyView.of(key)))


async def revoke(services: Services, request: Request) -> Response:
    """Take one back."""
    refuse_body(request.headers)
    # It is read first: while the keyring cannot be reached, nothing is done for certain.
    key = await _addressed(services, request)
    request.guard.late = OutcomeUnknown
    await services.keys.revoke(request.principal, key.tenant, key.id)
    return Response(204)


async def rotate(services: Services, request: Request) -> Response:
    """Make a key in the place of another."""
    content = decode(await whole(request, _MEDIA, services.configuration.max_body_bytes))
    given = convert(content, Rotation, "invalid_body")
    overlap_ms = _overlap(given.overlap)
    expires_at = None if given.expires_at is None else _moment(given.expires_at)
    old = await _addressed(services, request)
    request.guard.late = OutcomeUnknown
    made = await services.keys.rotate(request.principal, old, overlap_ms, expires_at)
    request.subject += f" -> {made.key.id}"
    return _shown_once(request, made)


async def _addressed(services: Services, request: Request) -> Key:
    key_id, tenant = segment(request.arguments[0], "key_not_found"), _tenant(request)
    request.subject = f"{tenant or request.principal.tenant}/{key_id}"
    return await services.keys.get(request.principal, tenant, key_id)


def _tenant(request: Request) -> str | None:
    tenant = request.query.get("tenant")
    if tenant is not None and not is_tenant(tenant):
        raise invalid_parameter("tenant", "is named as a collection is")
    return tenant


def _shown_once(request: Request, made: Made) -> Response:
    key = made.key
    content = KeyMade(**msgspec.structs.asdict(KeyView.of(key)), key=made.text)
    whose = "" if key.tenant == request.principal.tenant else f"?tenant={key.tenant}"
    place = f"/v1/keys/{key.id}{whose}".encode()
    return Response(201, (JSON, _NEVER_STORED, (b"location", place)), _encode(content))


def _check(given: NewKey) -> None:
    """Raise `Malformed` (`invalid_body`) for what the types do not say."""
    if not _NAME(given.name):
        raise _bad("/name", "A key's name is 1 to 100 characters, none of them control characters.")
    if given.tenant is not None and not is_tenant(given.tenant):
        raise _bad("/tenant", "A tenant is named as a collection is.")
    if not 1 <= len(given.scopes) <= _MOST_SCOPES:
        raise _bad("/scopes", f"A key has 1 to {_MOST_SCOPES} scopes.")
    for place, scope in enumerate(given.scopes):
        _check_scope(f"/scopes/{place}", scope)
    if given.rate is not None:
        _check_rate(given.rate)


def _check_scope(pointer: str, scope: Scope) -> None:
    if not is_pattern(scope.collections):
        detail = "Collections are 1 to 63 of a-z, 0-9, '-', '_', and '*' for any characters."
        raise _bad(f"{pointer}/collections", detail)
    if not scope.verbs:
        raise _bad(f"{pointer}/verbs", "A scope has at least one verb.")


def _check_rate(rate: Rate) -> None:
    for name in rate.__struct_fields__:
        value = getattr(rate, name)
        if value is not None and value <= 0:
            raise _bad(f"/rate/{name}", "A rate is more than 0.")


def _overlap(text: str) -> int:
    try:
        return 0 if text == "0s" else milliseconds(text)
    except ValueError as error:
        raise _bad("/overlap", str(error)) from None


def _moment(time: datetime) -> int:
    if time.tzinfo is None:
        raise _bad("/expires_at", "A time has its offset from UTC, as in 2030-01-31T12:00:00Z.")
    moment = round(time.timestamp() * 1000)
    if moment > _LAST_MS:
        raise _bad("/expires_at", "A key expires before the year 9999, or never.")
    return moment


def _bad(pointer: str, detail: str) -> Malformed:
    return Malformed("invalid_body", detail, faults=(Fault(pointer, detail),))
