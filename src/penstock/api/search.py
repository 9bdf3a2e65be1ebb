"""Searching a collection: pages, figures, and all of it as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import msgspec

from penstock.api import headers
from penstock.api.body import whole
from penstock.api.document import convert
from penstock.api.messages_search import (
    AggregateRecords,
    CountView,
    ExportDone,
    ExportFailed,
    GroupList,
    QueryRecords,
)
from penstock.api.problem import describe
from penstock.api.read import REVALIDATE, presented
from penstock.api.request import Request, invalid_parameter, page_size
from penstock.api.response import JSON, NDJSON, Response, Streamed
from penstock.api.route import JSON_TYPES
from penstock.api.services import Services
from penstock.api.turns import Turns
from penstock.api.wanted import aggregation, group_views
from penstock.errors import Malformed, PenstockError
from penstock.query import Projection, Search
from penstock.records.collection import Target
from penstock.records.document import decode
from penstock.records.field import ID
from penstock.records.filter import Filter, parse_filter
from penstock.records.identifier import check_record_id
from penstock.records.index import Ordered, ordered

_MEDIA: Final = frozenset(one.encode() for one in JSON_TYPES)
_MOST_SORTED: Final = 4
_COUNTS: Final = ("none", "estimated", "exact")

_encode = msgspec.json.Encoder().encode


class _Asked(NamedTuple):
    """A page, and how the records of the query are counted."""

    search: Search
    counting: str


async def page(services: Services, request: Request) -> Response:
    """One page of a collection."""
    query = request.query
    filter_ = _filter_text(query.get("filter"))
    asked = _Asked(
        Search(
            filter_,
            _sort(query.get("sort")),
            _projection(query["fields"].split(",") if "fields" in query else None),
            page_size(request, services.configuration),
            query.get("page_token"),
            _flag(query.get("allow_scan")),
        ),
        _count_kind(query.get("count")),
    )
    target = await services.access.target(request.principal, request.collection)
    return await _answer(services, request, target, asked)


async def query(services: Services, request: Request) -> Response:
    """The same, from a body."""
    target = await services.access.target(request.principal, request.collection)
    configuration = services.configuration
    content = decode(await whole(request, _MEDIA, configuration.max_body_bytes))
    given = convert(content, QueryRecords, "invalid_body")
    size = configuration.page_size if given.page_size is None else given.page_size
    if not 1 <= size <= configuration.max_page_size:
        most = configuration.max_page_size
        raise invalid_parameter("page_size", f"is a whole number from 1 to {most}")
    asked = _Asked(
        Search(
            None if given.filter is msgspec.UNSET else parse_filter(given.filter, "/filter"),
            _sort(given.sort),
            _projection(given.fields),
            size,
            given.page_token,
            given.allow_scan,
        ),
        given.count,
    )
    return await _answer(services, request, target, asked)


async def aggregate(services: Services, request: Request) -> Response:
    """Groups of records, and figures over each."""
    target = await services.access.target(request.principal, request.collection)
    receipts = presented(services, request)
    content = decode(await whole(request, _MEDIA, services.configuration.max_body_bytes))
    given = convert(content, AggregateRecords, "invalid_body")
    filter_ = None if given.filter is msgspec.UNSET else parse_filter(given.filter, "/filter")
    wanted = aggregation(given)
    await services.query.reach(target, receipts, request.deadline)
    groups = await services.query.aggregate(
        target, filter_, wanted, request.deadline, allow_scan=given.allow_scan
    )
    content = GroupList(group_views(given, wanted, groups))
    return Response(200, (JSON, REVALIDATE), _encode(content))


async def export(services: Services, request: Request) -> Streamed:
    """All records, line by line, by id."""
    target = await services.access.target(request.principal, request.collection)
    filter_ = _filter_text(request.query.get("filter"))
    query = request.query
    projection = _projection(query["fields"].split(",") if "fields" in query else None)
    after = request.query.get("after")
    if after is not None:
        check_record_id(after)
    await services.query.reach(target, presented(services, request), request.deadline)
    parts = services.query.export(
        target, filter_, projection, after, services.configuration.idle_ms / 1000
    )
    lines = _lines(parts, services.turns, request.request_id)
    return Streamed(200, (NDJSON,), await anext(lines), lines)


async def _lines(
    parts: AsyncGenerator[list[bytes], None], turns: Turns, request_id: str
) -> AsyncGenerator[bytes, None]:
    """The records, and the last line. Raises only before the first record."""
    count = 0
    try:
        async with aclosing(parts):
            async for records in parts:
                count += len(records)
                await turns.mine()
                yield b"".join([one + b"\n" for one in records])
    except PenstockError as error:
        if not count:
            raise
        yield _encode(ExportFailed(count, describe(error, request_id))) + b"\n"
    else:
        yield _encode(ExportDone(count)) + b"\n"


async def _answer(services: Services, request: Request, target: Target, asked: _Asked) -> Response:
    search = asked.search
    aged = await services.query.page(
        target,
        search,
        presented(services, request),
        fresh=headers.wants_fresh(request.headers),
        deadline=request.deadline,
    )
    content = b'{"records":[%b]' % b",".join(aged.page.records)
    for name in ("next_page_token", "previous_page_token"):
        token = getattr(aged.page, name)
        if token is not None:
            content += b',"%b":"%b"' % (name.encode(), token.encode())
    if asked.counting != "none":
        found = await services.query.count(
            target,
            search.filter,
            request.deadline,
            exact=asked.counting == "exact",
            allow_scan=search.allow_scan,
        )
        content += b',"count":' + _encode(CountView(found.value, found.kind))
    age = max(services.clock.now() - aged.as_of, 0) // 1000
    return Response(200, (JSON, REVALIDATE, (b"age", b"%d" % age)), content + b"}")


def _filter_text(text: str | None) -> Filter | None:
    if text is None:
        return None
    try:
        document: Any = decode(text.encode())
    except Malformed as error:
        raise Malformed("invalid_filter", f"The filter is no JSON: {error.detail}") from None
    return parse_filter(document)


def _sort(text: str | None) -> tuple[Ordered, ...]:
    if text is None:
        return ()
    try:
        fields = tuple(ordered(one) for one in text.split(","))
    except ValueError as error:
        raise Malformed("invalid_parameter", f"sort: {error}") from None
    named = [one.field for one in fields]
    if len(set(named)) < len(named) or len(named) > _MOST_SORTED + 1 or ID in named[:-1]:
        raise invalid_parameter("sort", "names different fields, few, and the id last")
    return fields


def _projection(texts: list[str] | None) -> Projection | None:
    if texts is None:
        return None
    try:
        return Projection(texts)
    except ValueError as error:
        raise Malformed("invalid_parameter", f"fields: {error}") from None


def _count_kind(text: str | None) -> str:
    if text is not None and text not in _COUNTS:
        raise invalid_parameter("count", f"is one of {', '.join(_COUNTS)}")
    return text or "none"


def _flag(text: str | None) -> bool:
    if text not in (None, "true", "false"):
        raise invalid_parameter("allow_scan", "is true or false")
    return text == "true"
