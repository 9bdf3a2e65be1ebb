"""Dead letters: list, get, replay, drop; for who has `admin` on all collections."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET

from penstock.access import administer
from penstock.api.body import refuse_body, whole
from penstock.api.document import convert
from penstock.api.messages import DeadLetter, DeadLetterPage, Replay, Replayed
from penstock.api.request import Request, page_size, segment
from penstock.api.response import JSON, Response
from penstock.api.route import JSON_TYPES
from penstock.api.services import Services
from penstock.errors import Malformed, NotFound
from penstock.records.document import decode
from penstock.records.letter import Letter
from penstock.records.operation import Kind, Operation
from penstock.records.position import Position, parse
from penstock.records.record import timestamp
from penstock.records.scope import Verb

_MEDIA: Final = frozenset(one.encode() for one in JSON_TYPES)

_encode = msgspec.json.Encoder().encode


async def page(services: Services, request: Request) -> Response:
    """Those of a collection, or all."""
    administer(request.principal)
    name = request.query.get("collection")
    target = (
        None if name is None else await services.access.target(request.principal, name, Verb.ADMIN)
    )
    token = request.query.get("page_token")
    found = await services.quarantine.page(
        request.principal.tenant,
        None if target is None else target.collection.id,
        None if token is None else _position(token, Malformed("invalid_page_token")),
        page_size(request, services.configuration),
        unreadable=request.principal.is_operator,
    )
    names = {one.id: one.name for one in await services.access.list_collections(request.principal)}
    view = DeadLetterPage(
        [_view(one, names) for one in found.letters],
        UNSET if found.next_after is None else found.next_after,
    )
    return Response(200, (JSON,), _encode(view))


async def get(services: Services, request: Request) -> Response:
    """One, with all that is known of it."""
    principal = request.principal
    administer(principal)
    letter = await services.quarantine.letter(
        principal.tenant, _addressed(request), unreadable=principal.is_operator
    )
    names = {one.id: one.name for one in await services.access.list_collections(request.principal)}
    return Response(200, (JSON,), _encode(_whole(letter, names)))


async def replay(services: Services, request: Request) -> Response:
    """What waits on the record of one."""
    principal = request.principal
    administer(principal)
    content = decode(await whole(request, _MEDIA, services.configuration.max_body_bytes))
    wanted = convert(content, Replay, "invalid_body")
    position = _position(wanted.position, NotFound("dead_letter_not_found"))
    request.subject = position
    done = await services.quarantine.replay(
        principal.tenant, position, unreadable=principal.is_operator
    )
    reason = UNSET if done.reason is None else done.reason
    return Response(200, (JSON,), _encode(Replayed(done.folded, not done.is_done, reason)))


async def drop(services: Services, request: Request) -> Response:
    """Remove one, for good."""
    refuse_body(request.headers)
    principal = request.principal
    administer(principal)
    await services.quarantine.drop(
        principal.tenant, _addressed(request), unreadable=principal.is_operator
    )
    return Response(204)


def _addressed(request: Request) -> Position:
    text = segment(request.arguments[0], "dead_letter_not_found")
    return _position(text, NotFound("dead_letter_not_found"))


def _position(text: str, error: Malformed | NotFound) -> Position:
    try:
        parse(text)
    except ValueError:
        raise error from None
    return Position(text)


def _view(letter: Letter, names: dict[str, str]) -> DeadLetter:
    reason = letter.reason or UNSET
    time = timestamp(letter.time)
    if not letter.is_readable:
        return DeadLetter(letter.position, time, reason=reason)
    operation = letter.entry.operation
    return DeadLetter(
        letter.position,
        time,
        names.get(letter.collection_id, UNSET),
        letter.record_id,
        Kind(operation.kind).word,
        operation.operation_id,
        reason,
        UNSET if letter.behind is None else letter.behind,
    )


def _whole(letter: Letter, names: dict[str, str]) -> DeadLetter:
    view = _view(letter, names)
    if not letter.is_readable:
        return msgspec.structs.replace(view, message=letter.content)
    operation: Operation = letter.entry.operation
    return msgspec.structs.replace(
        view,
        if_match=UNSET if operation.if_match is None else operation.if_match,
        if_absent=operation.if_absent or UNSET,
        data=msgspec.Raw(operation.data) if operation.data else UNSET,
    )
