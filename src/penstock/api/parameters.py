"""The parameters that routes share, as the documents describe them."""

from __future__ import annotations

from typing import Any, Final

from penstock.api.route import Parameter

NAME_SCHEMA: Final[dict[str, Any]] = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"}
ID_SCHEMA: Final[dict[str, Any]] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 512,
    "pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$",
}
RECEIPT_SCHEMA: Final[dict[str, Any]] = {"type": "string", "format": "penstock-receipt"}
TOKEN_SCHEMA: Final[dict[str, Any]] = {"type": "string", "format": "penstock-page-token"}
ETAG_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [{"const": "*"}, {"type": "string", "pattern": '^"[0-9a-f]{24}"$'}]
}

KEY_ID_SCHEMA: Final[dict[str, Any]] = {"type": "string", "pattern": "^[0-9a-f]{20}$"}
POSITION_SCHEMA: Final[dict[str, Any]] = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
PATH: Final = {
    one.name: one
    for one in (
        Parameter("collection", "path", NAME_SCHEMA, "The collection's name."),
        Parameter(
            "id",
            "path",
            ID_SCHEMA,
            "The record's id: UTF-8 of at most 512 bytes without control characters, "
            "percent-encoded; a slash in it is `%2F`.",
        ),
        Parameter("key", "path", KEY_ID_SCHEMA, "The id of a key, which is not the key itself."),
        Parameter("position", "path", POSITION_SCHEMA, "Where the entry stands in the log."),
        Parameter("receipt", "path", RECEIPT_SCHEMA, "A receipt, as a write returned it."),
    )
}
PAGE_SIZE: Final = Parameter(
    "page_size",
    "query",
    {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
    "Records on the page, at most.",
)
PAGE_TOKEN: Final = Parameter(
    "page_token",
    "query",
    TOKEN_SCHEMA,
    "The `next_page_token` of the page before, or the `previous_page_token` of the one behind.",
)
FILTER: Final = Parameter(
    "filter",
    "query",
    {"type": "string", "examples": ['{"data.level":{"$gt":3}}']},
    "JSON: what must hold of a record.",
)
SORT: Final = Parameter(
    "sort",
    "query",
    {"type": "string", "examples": ["-data.level", "data.site,-created_at"]},
    "Fields, comma-separated; a minus for descending. The id decides between equals.",
)
FIELDS: Final = Parameter(
    "fields",
    "query",
    {"type": "string", "examples": ["data.site,data.level"]},
    "Fields of the data, comma-separated: only these are sent.",
)
COUNT: Final = Parameter(
    "count",
    "query",
    {"type": "string", "enum": ["none", "estimated", "exact"], "default": "none"},
    "Whether to say how many records there are on all pages together.",
)
ALLOW_SCAN: Final = Parameter(
    "allow_scan",
    "query",
    {"type": "string", "enum": ["true", "false"], "default": "false"},
    "Whether to answer also where no index serves the query and the collection is large.",
)
AFTER: Final = Parameter("after", "query", ID_SCHEMA, "Only ids above this one.")
LETTER_PAGE_TOKEN: Final = PAGE_TOKEN._replace(schema=POSITION_SCHEMA)
KEY_PAGE_TOKEN: Final = PAGE_TOKEN._replace(
    schema=KEY_ID_SCHEMA, description="The `next_page_token` of the page before."
)
OF_TENANT: Final = Parameter(
    "tenant",
    "query",
    NAME_SCHEMA,
    "Whose keys, where not one's own: only the installation's admin key may ask.",
)
OF_COLLECTION: Final = Parameter(
    "collection", "query", NAME_SCHEMA, "Only those of this collection."
)
ACK: Final = Parameter(
    "ack",
    "query",
    {"type": "string", "enum": ["applied", "durable"]},
    "What to wait for: `applied` is the same as `Prefer: wait`.",
)
PREFER: Final = Parameter(
    "Prefer",
    "header",
    {"type": "string", "examples": ["wait", "wait=1"]},
    "`wait` answers when the write is applied, within the deadline; `wait=N` waits for at most N "
    "seconds (RFC 7240).",
)
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21\x23-\x2b\x2d-\x7e]+$"},
    "Makes repetitions of this request have one effect; quoted or bare.",
)
IF_MATCH: Final = Parameter(
    "If-Match", "header", ETAG_SCHEMA, "The version that the record must be at, or `*` for any."
)
IF_ABSENT: Final = Parameter(
    "If-None-Match",
    "header",
    {"type": "string", "enum": ["*"]},
    "`*`: only where there is no record yet.",
)
IF_NONE_MATCH: Final = Parameter(
    "If-None-Match", "header", {"type": "string"}, "ETags, or `*`: answers 304 for one of them."
)
PRESENTED: Final = Parameter(
    "Penstock-Receipt",
    "header",
    RECEIPT_SCHEMA,
    "Receipts, comma-separated: the answer reflects those writes.",
)
FRESH: Final = Parameter(
    "Cache-Control", "header", {"type": "string"}, "`no-cache` reads past the cache."
)
TIMEOUT: Final = Parameter(
    "Penstock-Timeout",
    "header",
    {"type": "integer", "minimum": 1, "maximum": 10_000, "examples": [100]},
    "Milliseconds within which the caller wants an answer, or a refusal. More than the usual is "
    "given to lists, aggregates and the beginning of exports.",
)
