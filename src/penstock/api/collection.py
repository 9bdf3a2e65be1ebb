"""Collections: put, get, list, drop."""

from __future__ import annotations

from typing import Final

import msgspec

from penstock.api.body import refuse_body, whole
from penstock.api.document import convert
from penstock.api.messages import CollectionList, CollectionView
from penstock.api.request import Request
from penstock.api.response import JSON, Response
from penstock.api.route import JSON_TYPES
from penstock.api.services import Services
from penstock.records.collection import Collection, Settings
from penstock.records.document import decode

_MEDIA: Final = frozenset(one.encode() for one in JSON_TYPES)

_encode = msgspec.json.Encoder().encode


async def put(services: Services, request: Request) -> Response:
    """Create a collection, or change its settings."""
    name = request.collection
    content = decode(await whole(request, _MEDIA, services.configuration.max_body_bytes))
    settings = convert(content, Settings, "invalid_collection")
    collection, created = await services.access.put_collection(request.principal, name, settings)
    view = await _view(services, collection)
    return Response(201 if created else 200, (JSON,), _encode(view))


async def get(services: Services, request: Request) -> Response:
    """One collection."""
    target = await services.access.target(request.principal, request.collection)
    return Response(200, (JSON,), _encode(await _view(services, target.collection)))


async def list_all(services: Services, request: Request) -> Response:
    """All collections."""
    found = await services.access.list_collections(request.principal)
    content = CollectionList([await _view(services, one) for one in found])
    return Response(200, (JSON,), _encode(content))


async def drop(services: Services, request: Request) -> Response:
    """Drop a collection and its records.

    204, for the drop is complete when it is answered: no read sees the collection any more. Only
    its space is given back later.
    """
    refuse_body(request.headers)
    await services.access.drop_collection(request.principal, request.collection)
    return Response(204)


async def _view(services: Services, collection: Collection) -> CollectionView:
    states = {}
    if collection.settings.indexes:
        states = dict(await services.query.indexes(collection.id))
    return CollectionView.of(collection, states)
