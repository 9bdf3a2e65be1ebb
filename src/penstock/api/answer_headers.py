"""The headers of answers, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any, Final

HEADERS: Final[dict[str, Any]] = {
    "Penstock-Receipt": {"description": "The receipt.", "schema": {"type": "string"}},
    "ETag": {"description": "The version, in quotes.", "schema": {"type": "string"}},
    "Age": {
        "description": "Seconds since this was the truth for certain.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Location": {"description": "Where what was made is.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds after which the same request would be admitted.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Policy": {
        "description": "The quotas of the key and its tenant, where there are any: `q` may be "
        "taken at once, and comes back within `w` seconds.",
        "schema": {"type": "string", "examples": ['"key";q=100;w=1']},
    },
    "RateLimit": {
        "description": "Of each quota what is left (`r`), and in how many seconds it is whole "
        "again (`t`).",
        "schema": {"type": "string", "examples": ['"key";r=99;t=1']},
    },
}
LIMITED: Final = ("RateLimit-Policy", "RateLimit")
"""What every answer carries to who is limited."""
