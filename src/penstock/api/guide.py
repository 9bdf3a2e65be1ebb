"""`/docs`: the OpenAPI document as one page that needs nothing from elsewhere, and no script."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from penstock.api import openapi
from penstock.api.problem import STATUS
from penstock.api.response import Headers, Response
from penstock.api.route import Route
from penstock.errors import CODES

_STYLE: Final = (files("penstock.api") / "guide.css").read_text()
_CODE: Final = re.compile(r"`([^`]+)`")


def answer(routes: Sequence[Route]) -> Response:
    """What `/docs` answers: HTML that may load nothing, and run nothing."""
    style = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    headers: Headers = (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
    )
    return Response(200, headers, page(openapi.document(routes)).encode())


def page(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document of ours."""
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    tags = list(dict.fromkeys(operation["tags"][0] for _, _, operation in operations))
    chapters, contents = [], []
    for tag in tags:
        own = [one for one in operations if one[2]["tags"][0] == tag]
        contents.append(f"<h2>{tag}</h2>" + "".join(_entry(operation) for *_, operation in own))
        chapters.append(
            f'<h2 class="chapter">{tag}</h2>' + "".join(_operation(*one) for one in own)
        )
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} HTTP API</title><style>{_STYLE}</style></head>"
        f'<body><div class="page"><nav><strong>{escape(info["title"])}</strong>'
        f"{''.join(contents)}<h2>All</h2>"
        '<a href="#problems">Problems</a><a href="#types">Types</a>'
        '<a href="/openapi.json">openapi.json</a></nav>'
        f"<main><h1>{escape(info['title'])} HTTP API</h1><p>{_text(info['description'])}</p>"
        "<p>Requests carry <code>Authorization: Bearer &lt;key&gt;</code>, but for those under "
        "Service.</p>"
        f"{''.join(chapters)}{_problems()}{_types(document)}</main></div></body></html>"
    )


def _entry(operation: dict[str, Any]) -> str:
    return f'<a href="#{operation["operationId"]}">{escape(operation["summary"])}</a>'


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [
        f'<article id="{operation["operationId"]}"><h3>{escape(operation["summary"])}</h3>',
        f'<p class="address"><span class="method">{method.upper()}</span> ',
        f"<code>{escape(path)}</code></p>",
    ]
    if "description" in operation:
        parts.append(f"<p>{_text(operation['description'])}</p>")
    if operation["parameters"]:
        rows = (
            (f"<code>{escape(one['name'])}</code>", one["in"], _text(one["description"]))
            for one in operation["parameters"]
        )
        parts.append("<h4>Parameters</h4>" + _table(rows))
    if "requestBody" in operation:
        parts.append(_body(operation["requestBody"]))
    rows = (
        (status, _type_names(reply), _text(reply["description"]))
        for status, reply in operation["responses"].items()
    )
    parts.append("<h4>Answers</h4>" + _table(rows) + "</article>")
    return "".join(parts)


def _body(body: dict[str, Any]) -> str:
    media = ", ".join(f"<code>{escape(one)}</code>" for one in body["content"])
    example = next(iter(body["content"].values()))["example"]
    shown = example if isinstance(example, str) else json.dumps(example)
    return (
        f"<h4>Body</h4><p>{_text(body['description'])} {media}</p>"
        f"<pre>{escape(shown.rstrip())}</pre>"
    )


def _type_names(reply: dict[str, Any]) -> str:
    """Links to the types that a reply may have, but for problems."""
    found = re.findall(r"#/components/schemas/(\w+)", json.dumps(reply.get("content", {})))
    names = [name for name in dict.fromkeys(found) if name != "Problem"]
    return " | ".join(f'<a href="#type-{name}">{name}</a>' for name in names)


def _problems() -> str:
    rows = (
        (f'<code id="problem-{code}">{code}</code>', str(STATUS[code]), _text(sentence))
        for code, sentence in CODES.items()
    )
    return (
        '<h2 class="chapter" id="problems">Problems</h2>'
        "<p>Errors are <code>application/problem+json</code> (RFC 9457). The codes are a closed "
        "set.</p>" + _table(rows)
    )


def _types(document: dict[str, Any]) -> str:
    shown = (
        f'<article id="type-{name}"><h3>{name}</h3><p>{_text(schema["description"])}</p>'
        "<details><summary>JSON Schema</summary>"
        f"<pre>{escape(json.dumps(schema, indent=2, ensure_ascii=False))}</pre></details></article>"
        for name, schema in document["components"]["schemas"].items()
    )
    return '<h2 class="chapter" id="types">Types</h2>' + "".join(shown)


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    """A table of three columns; the cells are HTML."""
    body = "".join(
        f'<tr><th>{name}</th><td class="kind">{kind}</td><td>{text}</td></tr>'
        for name, kind, text in rows
    )
    return f"<table>{body}</table>"


def _text(plain: str) -> str:
    """Plain text as HTML; what stands in back-quotes as code."""
    return _CODE.sub(r"<code>\1</code>", escape(plain))
