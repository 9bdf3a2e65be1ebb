"""Handlers whose every call is recorded in the audit log, whatever comes of it."""

from __future__ import annotations

import functools

from penstock.api.request import Request
from penstock.api.response import Answer
from penstock.api.route import Handler
from penstock.api.services import Services
from penstock.errors import PenstockError
from penstock.telemetry import audit


def audited(action: str, handler: Handler) -> Handler:
    """The same handler, recorded as `action`; `Request.subject` says what it is about."""

    @functools.wraps(handler)
    async def recorded(services: Services, request: Request) -> Answer:
        # A request that is given up, or fails by a defect, may have had its effect.
        outcome = "unknown"
        try:
            answer = await handler(services, request)
            outcome = "done"
        except PenstockError as error:
            outcome = error.code
            raise
        finally:
            audit.record(
                action,
                tenant=request.principal.tenant,
                key_id=request.principal.key_id,
                target=request.subject or b"/".join(request.arguments).decode("latin-1"),
                request_id=request.request_id,
                outcome=outcome,
            )
        return answer

    return recorded
