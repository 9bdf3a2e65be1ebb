"""Errors as problems."""

from __future__ import annotations

import json

import pytest

from penstock.api.problem import STATUS, answer
from penstock.errors import (
    CODES,
    Fault,
    Invalid,
    LogDiverged,
    MethodNotAllowed,
    PenstockError,
    Unauthenticated,
    Unavailable,
)


def test_every_code_has_a_status_and_no_other_has() -> None:
    assert STATUS.keys() == CODES.keys()


def test_a_problem_says_all_that_the_client_may_know_and_nothing_else() -> None:
    error = Invalid("schema_violation", faults=(Fault("/a~1b", "is no number"),), internal="secret")
    status, headers, body = answer(error, "req-1")
    assert status == 422
    assert dict(headers)[b"content-type"] == b"application/problem+json"
    assert json.loads(body) == {
        "type": "urn:penstock:problem:schema_violation",
        "title": "The record breaks the schema of its collection: see `errors`.",
        "status": 422,
        "detail": "The record breaks the schema of its collection: see `errors`.",
        "code": "schema_violation",
        "retryable": False,
        "request_id": "req-1",
        "errors": [{"pointer": "/a~1b", "detail": "is no number"}],
    }


@pytest.mark.parametrize(
    ("error", "status", "name", "value"),
    [
        (Unauthenticated(), 401, b"www-authenticate", b"Bearer"),
        (Unavailable("overloaded", retry_after=0.2), 503, b"retry-after", b"1"),
        (Unavailable("backlog_full", retry_after=5), 503, b"retry-after", b"5"),
        (MethodNotAllowed(("GET", "PUT")), 405, b"allow", b"GET, PUT"),
        (LogDiverged("another topic"), 503, b"retry-after", b"60"),
    ],
)
def test_some_problems_come_with_a_header(
    error: PenstockError, status: int, name: bytes, value: bytes
) -> None:
    found = answer(error, "req-1")
    assert (found.status, dict(found.headers)[name]) == (status, value)


def test_what_can_be_retried_says_so() -> None:
    assert json.loads(answer(Unavailable("overloaded"), "r").body)["retryable"] is True
    assert json.loads(answer(Unauthenticated(), "r").body)["retryable"] is False
