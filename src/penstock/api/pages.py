"""What needs no key: health, the OpenAPI document, the guide."""

from __future__ import annotations

import msgspec

from penstock.api.messages import Health
from penstock.api.request import Request
from penstock.api.response import JSON, Header, Response
from penstock.api.services import Services

_NEVER_STORED: Header = (b"cache-control", b"no-store")

_encode = msgspec.json.Encoder().encode


async def alive(_services: Services, _request: Request) -> Response:
    """Whether the process answers at all."""
    return Response(200, (JSON, _NEVER_STORED), _encode(Health("ok")))


async def ready(services: Services, _request: Request) -> Response:
    """Whether it can do its work now."""
    reason = await services.ready()
    if reason is None:
        return Response(200, (JSON, _NEVER_STORED), _encode(Health("ok")))
    return Response(503, (JSON, _NEVER_STORED), _encode(Health("unready", reason)))


async def openapi(services: Services, _request: Request) -> Response:
    """This API, described."""
    return services.openapi


async def guide(services: Services, _request: Request) -> Response:
    """The same for people."""
    return services.guide
