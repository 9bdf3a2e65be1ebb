"""The part of the values schema that is made from the program's own settings.

`settings` of the chart takes any setting by its environment variable, but for those that the chart
itself decides; a name that the program does not know is refused by Helm.
"""

from __future__ import annotations

import json
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from deploy.chart import SCHEMA
from penstock.config import Configuration

CHART_OWNED: Final = {
    "host",
    "port",
    "data",
    "log_url",
    "log_name",
    "log_partitions",
    "log_group_protocol",
    "store_url",
    "store_name",
    "cache_url",
    "admin_key",
    "secret",
    "ingest_urls",
    "query_urls",
    "metrics_port",
    "drain_grace_ms",
    "tls_cert",
    "tls_key",
}
"""Settings that follow from other values, or stand in the Secret."""


def schema_text() -> str:
    """The values schema as it should be."""
    schema = json.loads(SCHEMA.read_text())
    schema["definitions"]["settings"]["properties"] = {
        f"PENSTOCK_{name.upper()}": _described(field)
        for name, field in Configuration.model_fields.items()
        if name not in CHART_OWNED and not _is_secret(field)
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in _kinds(field.annotation)


def _described(field: FieldInfo) -> dict[str, Any]:
    """A number where it is one; everything else is text, as the environment has it."""
    kinds = _kinds(field.annotation)
    named = next((name for kind, name in _NAMES.items() if kind in kinds), "string")
    return {"type": named, "description": field.description or ""}


def _kinds(annotation: Any) -> list[Any]:
    """What a setting may be: itself, or each of a union, without what is annotated to it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [kind for one in get_args(annotation) for kind in _kinds(one)]
    return [annotation]


_NAMES: Final = {bool: "boolean", int: "integer", float: "number"}
