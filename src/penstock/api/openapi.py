"""The OpenAPI 3.1 document, made from the table of routes and the types of the messages.

`python -m penstock.api.openapi FILE` writes it; with `--check` before the file, it tells by its
exit status whether the file is up to date.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from penstock import __version__
from penstock.api import parameters, problem
from penstock.api.answer_headers import HEADERS, LIMITED
from penstock.api.messages import Problem, RecordData
from penstock.api.response import JSON, Response
from penstock.api.route import LINE_TYPES, Body, Parameter, Reply, Route
from penstock.errors import CODES

Json = dict[str, Any]

_ABOUT: Final = (
    "JSON records in, through a durable log, and back fast. A write is answered with a receipt "
    "once it is durable; a read that presents the receipt sees it. See also /docs."
)
_ANY_ROUTE: Final = ("malformed_request", "uri_too_long", "headers_too_large", "internal")
_KEYED: Final = (
    "unauthenticated",
    "store_unavailable",
    "quota_exceeded",
    "issuer_unavailable",
    "deadline_exceeded",
    "overloaded",
)
_WITH_DOCUMENT: Final = ("malformed_json", "invalid_record")
_WITH_BODY: Final = (
    "invalid_body",
    "body_too_large",
    "unsupported_media_type",
    "unsupported_encoding",
    "request_timeout",
)
_OF_PLACE: Final = {
    "collection": ("invalid_name", "collection_not_found"),
    "id": ("invalid_id",),
    "key": ("key_not_found",),
    "position": ("dead_letter_not_found",),
    "receipt": ("invalid_receipt",),
}
_DATA: Final = {"$ref": "#/components/schemas/Data"}
_VALUE: Final = {"$ref": "#/components/schemas/Value"}
_USERS: Final[Json] = {
    "Data": {
        "title": "Data",
        "description": "What a record holds: any JSON object, of at most 64 levels and 10,000 "
        "names in all.",
        "type": "object",
        "propertyNames": {"pattern": r"^[^\u0000]*$"},
        "additionalProperties": _VALUE,
    },
    "Value": {
        "title": "Value",
        "description": "A JSON value. Integers are signed 64-bit, other numbers doubles.",
        "anyOf": [
            {"type": ["null", "boolean", "string"]},
            {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
            {"type": "number"},
            {"type": "array", "items": _VALUE},
            _DATA,
        ],
    },
}
_DURATION: Final = {
    "type": "string",
    "pattern": "^[1-9]([0-9]{0,8}(ms|s)|[0-9]{0,7}m|[0-9]{0,5}h|[0-9]{0,4}d)$",
}
_FUTURE: Final = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
    "default": None,
    "examples": ["2030-01-31T12:00:00Z"],
}
_PER_SECOND: Final = {
    "anyOf": [{"type": "number", "minimum": 0.001, "maximum": 1e12}, {"type": "null"}],
    "default": None,
}
_REFINED: Final[dict[tuple[str, str], Json]] = {
    ("TimeToLive", "after"): {**_DURATION, "examples": ["30d"]},
    ("TimeToLive", "field"): {
        "type": "string",
        "pattern": r"^(created_at|updated_at|data(\.[^.\u0000]+)+)$",
        "default": "updated_at",
    },
    ("CachePolicy", "ttl"): {**_DURATION, "default": "30s"},
    ("CachePolicy", "lists"): {**_DURATION, "examples": ["1s"]},
    ("Settings", "schema"): {
        "anyOf": [{"type": "boolean"}, _DATA],
        "description": "JSON Schema 2020-12, at most 64 KiB, without references to elsewhere.",
    },
    ("GetRecords", "ids"): {
        "type": "array",
        "items": parameters.ID_SCHEMA,
        "minItems": 1,
        "maxItems": 1000,
    },
    ("NewKey", "name"): {
        "type": "string",
        "minLength": 1,
        "maxLength": 100,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$",
    },
    ("NewKey", "tenant"): {"anyOf": [parameters.NAME_SCHEMA, {"type": "null"}], "default": None},
    ("NewKey", "scopes"): {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Scope"},
        "minItems": 1,
        "maxItems": 50,
    },
    ("NewKey", "expires_at"): _FUTURE,
    ("Rotation", "expires_at"): _FUTURE,
    ("Rotation", "overlap"): {"anyOf": [{"const": "0s"}, _DURATION], "default": "1h"},
    ("Scope", "collections"): {"type": "string", "pattern": "^[a-z0-9_*-]{1,63}$"},
    ("Scope", "verbs"): {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Verb"},
        "minItems": 1,
    },
    ("Rate", "requests_per_second"): _PER_SECOND,
    ("Rate", "bytes_per_second"): _PER_SECOND,
    ("Record", "data"): _DATA,
    ("BulkLine", "data"): _DATA,
    ("Problem", "code"): {"type": "string", "enum": sorted(CODES)},
}
"""What the types of the house cannot say of themselves without depending on the API."""


def document(routes: Sequence[Route]) -> Json:
    """The whole document."""
    types = list(dict.fromkeys([Problem, *_types(routes)]))
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    for component in components.values():
        component["description"] = inspect.cleandoc(component["description"])
    for (name, member), refined in _REFINED.items():
        components[name]["properties"][member] = refined
    components.update(_USERS)
    schema_of = dict(zip(types, schemas, strict=True)) | {RecordData: _DATA}
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.pattern, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": HEADERS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def answer(routes: Sequence[Route]) -> Response:
    """What `/openapi.json` answers."""
    return Response(200, (JSON,), msgspec.json.encode(document(routes)))


def codes(route: Route) -> list[str]:
    """All problems that a route may answer, in the order of the closed set."""
    found = {*_ANY_ROUTE, *route.problems}
    if not route.public:
        found.update(_KEYED)
    if route.body is not None:
        found.update(_WITH_BODY)
        # The lines of a stream are answered one by one.
        if not route.streams:
            found.update(_WITH_DOCUMENT)
    for place in route.places:
        found.update(_OF_PLACE[place])
    found.add("invalid_parameter")
    if not route.public or any(one.where == "header" for one in route.parameters):
        found.add("invalid_header")
    return [code for code in CODES if code in found]


def _types(routes: Iterable[Route]) -> Iterable[Any]:
    """The types of all bodies, lines one by one."""
    for route in routes:
        if route.body is not None:
            yield route.body.type
        for reply in route.replies:
            yield from _each(reply.type)


def _each(kind: Any) -> tuple[Any, ...]:
    return () if kind is None else kind if isinstance(kind, tuple) else (kind,)


def _operation(route: Route, schema_of: dict[Any, Json]) -> Json:
    places = tuple(parameters.PATH[name] for name in route.places)
    timed = () if route.public else (parameters.TIMEOUT,)
    operation: Json = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": [_parameter(one) for one in (*places, *route.parameters, *timed)],
        "responses": _responses(route, schema_of),
    }
    if route.description:
        operation["description"] = route.description
    if route.body is not None:
        operation["requestBody"] = _body(route.body, schema_of)
    if route.public:
        operation["security"] = []
    return operation


def _parameter(one: Parameter) -> Json:
    return {
        "name": one.name,
        "in": one.where,
        "required": one.where == "path",
        "description": one.description,
        "schema": one.schema,
    }


def _body(body: Body, schema_of: dict[Any, Json]) -> Json:
    content: Json = {"schema": schema_of[body.type], "example": body.example}
    if body.media == LINE_TYPES:
        content = {
            "x-line-schema": schema_of[body.type],
            "example": json.dumps(body.example) + "\n",
        }
    return {
        "required": True,
        "description": body.description,
        "content": dict.fromkeys(body.media, content),
    }


def _responses(route: Route, schema_of: dict[Any, Json]) -> Json:
    limited = () if route.public else LIMITED
    responses: Json = {
        str(reply.status): _reply(reply, schema_of, limited) for reply in route.replies
    }
    by_status: dict[int, list[str]] = {}
    for code in codes(route):
        by_status.setdefault(problem.STATUS[code], []).append(code)
    for status, names in sorted(by_status.items()):
        described: Json = {
            "description": ", ".join(f"`{name}`" for name in names),
            "content": {problem.MEDIA_TYPE: {"schema": schema_of[Problem]}},
        }
        if "quota_exceeded" in names:
            described["headers"] = _headers(("Retry-After", *limited))
        known = responses.setdefault(str(status), described)
        known["content"] = {**described["content"], **known["content"]}
    return responses


def _reply(reply: Reply, schema_of: dict[Any, Json], limited: tuple[str, ...]) -> Json:
    described: Json = {"description": reply.description}
    if isinstance(reply.type, tuple):
        lines = {"anyOf": [schema_of[one] for one in reply.type]}
        described["content"] = {reply.media: {"x-line-schema": lines}}
    elif reply.type is not None:
        described["content"] = {reply.media: {"schema": schema_of[reply.type]}}
    if reply.headers or limited:
        described["headers"] = _headers((*reply.headers, *limited))
    return described


def _headers(names: tuple[str, ...]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def main(arguments: Sequence[str]) -> int:
    """See the module; the exit status is 1 where `--check` finds a difference."""
    from penstock.api.routes import ROUTES  # noqa: PLC0415  # because the table needs this package

    *options, file = arguments
    wanted = json.dumps(document(ROUTES), indent=2, ensure_ascii=False) + "\n"
    path = Path(file)
    if "--check" in options:
        return int(not path.exists() or path.read_text() != wanted)
    path.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
