"""`records:bulk`: lines in, one result line per line out, while they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from penstock.api import headers
from penstock.api.asgi import ClientGone
from penstock.api.body import pieces
from penstock.api.lines_in_hand import LinesInHand
from penstock.api.messages import BulkDone, BulkFailed, LineDurable, LineRefused
from penstock.api.ndjson import Line, LineSplitter, groups
from penstock.api.problem import describe
from penstock.api.request import Request, shutting_down
from penstock.api.response import NDJSON, Streamed
from penstock.api.route import LINE_TYPES
from penstock.api.services import Services
from penstock.errors import PenstockError
from penstock.ingest import Bulk, Result
from penstock.records.scope import Verb
from penstock.telemetry.logs import logger
from penstock.telemetry.metrics import Metrics

_MEDIA: Final = frozenset(one.encode() for one in LINE_TYPES)

_encode = msgspec.json.Encoder().encode
_log = logger("api")


async def write_all(services: Services, request: Request) -> Streamed:
    """Write many records. What goes wrong before the first result is an ordinary problem."""
    key = headers.idempotency_key(request.headers)
    target = await services.access.target(request.principal, request.collection, Verb.WRITE)
    bulk = services.ingest.bulk(target, key, request.birth)
    limits = services.configuration
    lines = groups(
        pieces(request, _MEDIA, limits.max_bulk_bytes), LineSplitter(limits.max_line_bytes)
    )
    in_hand = LinesInHand(request.holding, services.turns)
    results = _results(bulk, lines, in_hand, request.request_id, services.metrics)
    return Streamed(200, (NDJSON,), await anext(results), results)


async def _results(
    bulk: Bulk,
    lines: AsyncGenerator[list[Line], None],
    in_hand: LinesInHand,
    request_id: str,
    metrics: Metrics,
) -> AsyncGenerator[bytes, None]:
    """The result lines, in groups, and the last line. Raises only before the first result."""
    index = 0
    try:
        async with aclosing(in_hand.read(lines)) as read, aclosing(bulk.run(read)) as run:
            async for group in run:
                yield rendered(group, index)
                index += len(group)
                in_hand.answered()
    except (Exception, asyncio.CancelledError) as error:
        if not index or isinstance(error, ClientGone):
            raise
        told = _told(error, request_id)
        metrics.problems.of(metrics.role, told.code).add()
        yield _failed(bulk, told, request_id)
    else:
        accepted, refused, receipt = bulk.summary
        done = BulkDone(accepted=accepted, refused=refused, receipt=receipt or msgspec.UNSET)
        yield _encode(done) + b"\n"
    finally:
        in_hand.close()
        accepted, refused, _ = bulk.summary
        metrics.bulk_lines.of("accepted").add(accepted)
        metrics.bulk_lines.of("refused").add(refused)


def rendered(group: Sequence[Result], start: int) -> bytes:
    """The result lines of a group whose first line has the index `start`.

    The common group, all accepted and no id in need of an escape, takes half a microsecond a line.
    """
    try:
        ids = "".join(group)  # type: ignore[arg-type]  # because it tells refusals by failing
    except TypeError:
        return b"".join([_line(index, one) for index, one in enumerate(group, start)])
    if '"' in ids or "\\" in ids:
        return b"".join([_line(index, one) for index, one in enumerate(group, start)])
    return "".join(
        [
            f'{{"index":{index},"id":"{one}","status":"durable"}}\n'
            for index, one in enumerate(group, start)
        ]
    ).encode()


def _line(index: int, result: Result) -> bytes:
    if isinstance(result, str):
        return _encode(LineDurable(index, result)) + b"\n"
    record_id = msgspec.UNSET if result.record_id is None else result.record_id
    return _encode(LineRefused(index, describe(result.error), record_id)) + b"\n"


def _told(error: BaseException, request_id: str) -> PenstockError:
    """What the client is told of it."""
    if isinstance(error, PenstockError):
        return error
    if isinstance(error, asyncio.CancelledError):
        # Only the server cancels, when a request outlasts the time given to it at a stop.
        return shutting_down()
    _log.error("bulk_failed", request_id=request_id, exc_info=error)
    return PenstockError("internal")


def _failed(bulk: Bulk, error: PenstockError, request_id: str) -> bytes:
    accepted, refused, receipt = bulk.summary
    failed = BulkFailed(
        accepted=accepted,
        refused=refused,
        problem=describe(error, request_id),
        receipt=receipt or msgspec.UNSET,
    )
    return _encode(failed) + b"\n"
