"""Errors as HTTP: the one place that knows which status goes with which code (RFC 9457)."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from penstock.api.messages import Pointed, Problem
from penstock.api.quota import PROBLEM_TYPE
from penstock.api.response import Header, Headers, Response
from penstock.errors import CODES, MethodNotAllowed, PenstockError, QuotaExceeded

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:penstock:problem:"

STATUS: Final[dict[str, int]] = {
    "malformed_request": 400,
    "malformed_json": 400,
    "invalid_record": 400,
    "invalid_id": 400,
    "invalid_name": 400,
    "invalid_collection": 400,
    "invalid_parameter": 400,
    "invalid_header": 400,
    "invalid_filter": 400,
    "invalid_line": 400,
    "invalid_body": 400,
    "invalid_page_token": 400,
    "invalid_receipt": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "route_not_found": 404,
    "collection_not_found": 404,
    "record_not_found": 404,
    "dead_letter_not_found": 404,
    "key_not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "record_exists": 409,
    "idempotency_in_flight": 409,
    "quarantined": 409,
    "precondition_failed": 412,
    "body_too_large": 413,
    "answer_too_large": 413,
    "line_too_large": 413,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "unsupported_encoding": 415,
    "schema_violation": 422,
    "index_required": 422,
    "record_too_large": 422,
    "idempotency_mismatch": 422,
    "quota_exceeded": 429,
    "headers_too_large": 431,
    "internal": 500,
    "log_unavailable": 503,
    "outcome_unknown": 503,
    "backlog_full": 503,
    "store_unavailable": 503,
    "issuer_unavailable": 503,
    "not_applied_yet": 503,
    "overloaded": 503,
    "deadline_exceeded": 503,
    "shutting_down": 503,
}

_CONTENT_TYPE: Final[Header] = (b"content-type", MEDIA_TYPE.encode())
_CHALLENGE: Final[Header] = (b"www-authenticate", b"Bearer")
_UNAUTHORIZED: Final = 401

_encode = msgspec.json.Encoder().encode


def describe(error: PenstockError, request_id: str | msgspec.UnsetType = msgspec.UNSET) -> Problem:
    """The error as a problem; within a larger answer, that one carries the request id."""
    faults = [Pointed(*fault) for fault in error.faults]
    used_up = error.policies if isinstance(error, QuotaExceeded) else ()
    return Problem(
        PROBLEM_TYPE if used_up else TYPE_PREFIX + error.code,
        CODES[error.code],
        STATUS[error.code],
        error.detail,
        error.code,
        error.retryable,
        request_id,
        faults or msgspec.UNSET,
        list(used_up) or msgspec.UNSET,
    )


def answer(error: PenstockError, request_id: str, headers: Headers = ()) -> Response:
    """The error as a whole answer, with the headers that its kind calls for."""
    status = STATUS[error.code]
    extra: list[Header] = [_CONTENT_TYPE, *headers]
    if status == _UNAUTHORIZED:
        extra.append(_CHALLENGE)
    if error.retry_after is not None:
        extra.append((b"retry-after", b"%d" % math.ceil(error.retry_after)))
    if isinstance(error, MethodNotAllowed):
        extra.append((b"allow", ", ".join(error.allowed).encode()))
    return Response(status, tuple(extra), _encode(describe(error, request_id)))
