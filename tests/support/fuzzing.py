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


@schemathesis.serializer("application/x-ndjson", "application/ndjson", "application/jsonl")
def lines(_context: Any, value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Keep apart what is refused only because of another request.

    An Idempotency-Key that was used for another request is refused, as it should be, and so is the
    page token of another collection.
    """
    headers, query = case.headers or {}, case.query or {}
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and key:
        headers["Idempotency-Key"] = f"{key[:200]}-{next(_keys)}"
    if query.get("page_token") == PAGE_TOKEN:
        case.path_parameters["collection"] = COLLECTION
