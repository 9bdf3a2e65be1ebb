"""The part of the values schema that is made from the program's own settings.

`settings` of the chart takes any setting by its environment variable, but for those that the chart
itself decides; a name that the program does not know is refused by Helm.
"""

from __future__ import annotations

import json
from typing import Any, Final

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
    return SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))


def _described(field: FieldInfo) -> dict[str, Any]:
    """A number where it is one; everything else is text, as the environment has it."""
    of = [field.annotation, *getattr(field.annotation, "__args__", ())]
    if bool in of:
        kind = "boolean"
    elif float in of:
        kind = "number"
    elif int in of:
        kind = "integer"
    else:
        kind = "string"
    return {"type": kind, "description": field.description or ""}
