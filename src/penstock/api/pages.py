"""What needs no key: health, metrics, the OpenAPI document, the guide."""

from __future__ import annotations

import asyncio

import msgspec

from penstock.api.messages import Health
from penstock.api.request import Request
from penstock.api.response import JSON, Header, Response
from penstock.api.services import Services
from penstock.telemetry.metrics import Metrics

_NEVER_STORED: Header = (b"cache-control", b"no-store")

_encode = msgspec.json.Encoder().encode


async def alive(_services: Services, _request: Request) -> Response:
    """Whether the process answers at all."""
    return health(None)


async def ready(services: Services, _request: Request) -> Response:
    """Whether it can do its work now."""
    return health(await services.ready())


async def metrics(services: Services, request: Request) -> Response:
    """All metrics of this process."""
    return await scraped(services.metrics, request.headers.get(b"accept", b""))


async def openapi(services: Services, _request: Request) -> Response:
    """This API, described."""
    return services.openapi


async def guide(services: Services, _request: Request) -> Response:
    """The same for people."""
    return services.guide


def health(reason: str | None) -> Response:
    """Well, or the reason why not."""
    if reason is None:
        return Response(200, (JSON, _NEVER_STORED), _encode(Health("ok")))
    return Response(503, (JSON, _NEVER_STORED), _encode(Health("unready", reason)))


async def scraped(metrics: Metrics, accept: bytes) -> Response:
    """The metrics, in the form that is asked for."""
    # On another thread: it takes as long as a hundred requests.
    body, media_type = await asyncio.to_thread(metrics.scrape, accept.decode("latin-1"))
    return Response(200, ((b"content-type", media_type.encode()), _NEVER_STORED), body)
