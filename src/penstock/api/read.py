"""Reading: a record, several by id, and what became of a write."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from penstock.api import headers
from penstock.api.body import whole
from penstock.api.document import convert
from penstock.api.messages import GetRecords, ReceiptStatus
from penstock.api.problem import describe
from penstock.api.request import Request, segment
from penstock.api.response import JSON, Header, Response
from penstock.api.route import JSON_TYPES
from penstock.api.services import Services
from penstock.errors import Fault, Malformed
from penstock.query import Settled
from penstock.records.document import decode, encode
from penstock.records.identifier import check_record_id
from penstock.records.outcome import Result
from penstock.records.receipt import Receipt

_MEDIA: Final = frozenset(one.encode() for one in JSON_TYPES)
REVALIDATE: Final[Header] = (b"cache-control", b"private, no-cache")
"""A record may change at any time and a 304 is cheap: clients may keep it, and must ask."""

_STATUS: Final[dict[Result, Literal["applied", "duplicate", "rejected", "quarantined"]]] = {
    Result.APPLIED: "applied",
    Result.DUPLICATE: "duplicate",
    Result.REJECTED: "rejected",
    Result.QUARANTINED: "quarantined",
}


async def get(services: Services, request: Request) -> Response:
    """One record."""
    record_id = request.record_id
    target = await services.access.target(request.principal, request.collection)
    found = await services.query.fetch(
        target,
        record_id,
        presented(services, request),
        fresh=headers.wants_fresh(request.headers),
        deadline=request.deadline,
    )
    etag = b'"%b"' % found.version.encode()
    age = max(services.clock.now() - found.as_of, 0) // 1000
    more = ((b"etag", etag), REVALIDATE, (b"age", b"%d" % age))
    if headers.none_match(request.headers, etag):
        return Response(304, more)
    return Response(200, (JSON, *more), found.body)


async def get_many(services: Services, request: Request) -> Response:
    """Several records by id."""
    target = await services.access.target(request.principal, request.collection)
    receipts = presented(services, request)
    configuration = services.configuration
    content = decode(await whole(request, _MEDIA, configuration.max_body_bytes))
    ids = _ids(convert(content, GetRecords, "invalid_body"), configuration.max_get_ids)
    found = await services.query.fetch_many(
        target,
        ids,
        receipts,
        fresh=headers.wants_fresh(request.headers),
        deadline=request.deadline,
    )
    records = b",".join(one.body for one in found if one is not None)
    missing = [one for one, record in zip(ids, found, strict=True) if record is None]
    content = b'{"records":[%b],"missing":%b}' % (records, encode(missing))
    return Response(200, (JSON, REVALIDATE), content)


async def outcome(services: Services, request: Request) -> Response:
    """What became of the write behind a receipt."""
    text = segment(request.arguments[0], "invalid_receipt")
    receipt = services.receipts.read(text, request.principal.tenant)
    await services.access.allow_receipt(request.principal, receipt)
    settled = await services.query.outcome(receipt, request.deadline)
    return Response(200, (JSON, REVALIDATE), encode(_status(receipt, settled)))


def presented(services: Services, request: Request) -> list[Receipt]:
    """The receipts in the Penstock-Receipt header. Raises `Malformed` (`invalid_receipt`)."""
    given = request.headers.get(b"penstock-receipt")
    if given is None:
        return []
    request.waits = True
    read, tenant = services.receipts.read, request.principal.tenant
    return [read(one.decode("latin-1"), tenant) for one in given.split(b",")]


def _ids(wanted: GetRecords, most: int) -> list[str]:
    if not 1 <= len(wanted.ids) <= most:
        detail = f"It takes 1 to {most} ids."
        raise Malformed("invalid_body", detail, faults=(Fault("/ids", detail),))
    for index, record_id in enumerate(wanted.ids):
        try:
            check_record_id(record_id)
        except Malformed as error:
            fault = Fault(f"/ids/{index}", error.detail)
            raise Malformed(error.code, error.detail, faults=(fault,)) from None
    return list(dict.fromkeys(wanted.ids))


def _status(receipt: Receipt, settled: Settled | None) -> ReceiptStatus:
    unset = msgspec.UNSET
    record_id = receipt.record_id or unset
    if settled is None:
        return ReceiptStatus("durable", record_id)
    return ReceiptStatus(
        _STATUS[settled.result],
        record_id,
        unset if settled.version is None else settled.version,
        unset if settled.created is None else settled.created,
        unset if settled.error is None else describe(settled.error),
    )
