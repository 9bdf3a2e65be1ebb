"""What a fuzzer of the OpenAPI document cannot make up: loaded by schemathesis as its hooks."""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

import schemathesis
from hypothesis import strategies as st

COLLECTION = os.environ["FUZZ_COLLECTION"]
RECEIPT = os.environ["FUZZ_RECEIPT"]
PAGE_TOKEN = os.environ["FUZZ_PAGE_TOKEN"]

# Receipts and page tokens are signed: valid ones come from the server that is tested.
schemathesis.openapi.format("penstock-receipt", st.just(RECEIPT))
schemathesis.openapi.format("penstock-page-token", st.just(PAGE_TOKEN))

_keys = itertools.count()
_PATIENT_MS = 500


@schemathesis.serializer("application/x-ndjson", "application/ndjson", "application/jsonl")
def lines(_context: Any, value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Keep apart what is refused only because of another request.

    An Idempotency-Key that was used for another request is refused, as it should be, and so is the
    page token of another collection. And nobody can do anything in a millisecond.
    """
    headers, query = case.headers or {}, case.query or {}
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and key:
        headers["Idempotency-Key"] = f"{key[:200]}-{next(_keys)}"
    timeout = headers.get("Penstock-Timeout")
    if isinstance(timeout, str) and timeout.isdigit() and 0 < int(timeout) < _PATIENT_MS:
        headers["Penstock-Timeout"] = str(_PATIENT_MS)
    if query.get("page_token") == PAGE_TOKEN:
        case.path_parameters["collection"] = COLLECTION
    if case.meta is not None and case.meta.generation.mode.is_positive:
        _speak(query, case.body, case.operation.label)


def _speak(query: dict[str, Any], body: Any, label: str) -> None:
    """Put sentences of our own grammars (filters, sorts, fields) where the schema says text."""
    if "page_token" in query:
        # It was made for the plain listing, and belongs to no other query.
        query.pop("filter", None)
        query.pop("sort", None)
    _put(query, filter='{"data.level":{"$gt":3}}', sort="-data.level", fields="data.level")
    if not isinstance(body, dict):
        return
    filter_ = {"data.level": {"$gt": 3}}
    if label.endswith(":query"):
        fields = ["level"]
        _put(body, filter=filter_, sort="-data.level", fields=fields, page_size=5)
        body.pop("page_token", None)
    if label.endswith(":aggregate"):
        measures = {"n": "count", "top": {"max": "data.level"}}
        _put(body, filter=filter_, measures=measures, sort=["-n"], limit=5)
        _put(body, group_by=["data.site"])
    if label.startswith("POST /v1/keys"):
        _put(body, expires_at="2090-01-31T12:00:00Z", overlap="1h")
    if label.startswith("PUT"):
        _put(body, indexes=[{"fields": ["data.level"]}])


def _put(given: dict[str, Any], **values: Any) -> None:
    given.update({name: value for name, value in values.items() if given.get(name) is not None})
