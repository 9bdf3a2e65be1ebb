"""The audit log: who changed what there is, or who may do what. A line for each attempt."""

from __future__ import annotations

import logging
from typing import Any, Final

import structlog

_MOST: Final = 200

# Written whatever the level of the other logs is.
_log: Any = structlog.wrap_logger(
    None, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO), part="audit"
)


def record(
    action: str, *, tenant: str, key_id: str, target: str, request_id: str, outcome: str
) -> None:
    """Write a line.

    Args:
        action: what was asked for, such as `keys.revoke`.
        tenant: of who asked.
        key_id: with which key.
        target: what it is about, by name or id: never a secret. Cut where it is long.
        request_id: of the request.
        outcome: `done`, the code of the problem, or `unknown`.
    """
    _log.info(
        "audit",
        action=action,
        tenant=tenant,
        key_id=key_id,
        target=target[:_MOST],
        request_id=request_id,
        outcome=outcome,
    )
