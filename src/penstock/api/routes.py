"""The table of routes: all that this API takes."""

from __future__ import annotations

from typing import Any, Final

from penstock.api import collection, pages, read
from penstock.api.admission import Budget
from penstock.api.audit import audited
from penstock.api.messages import CollectionList, CollectionView, Health, ReceiptStatus
from penstock.api.route import JSON_TYPES, Body, Reply, Role, Route
from penstock.api.routes_keys import KEY_ROUTES
from penstock.api.routes_letters import LETTER_ROUTES
from penstock.api.routes_records import RECORD_ROUTES
from penstock.records.collection import Settings
from penstock.records.scope import Verb

_COLLECTIONS: Final = "/v1/collections"
_COLLECTION: Final = "/v1/collections/{collection}"

_HEALTHY: Final = Reply(200, "Yes.", Health)

ROUTES: Final = (
    Route(
        "GET",
        _COLLECTIONS,
        collection.list_all,
        name="list_collections",
        tag="Collections",
        summary="List the collections",
        replies=(Reply(200, "All collections, by name.", CollectionList),),
    ),
    Route(
        "PUT",
        _COLLECTION,
        audited("collections.put", collection.put),
        name="put_collection",
        tag="Collections",
        verb=Verb.ADMIN,
        summary="Create a collection, or change its settings",
        description="A schema counts for what is written from now on.",
        body=Body(
            JSON_TYPES, Settings, "The settings, each of them optional.", {"ttl": {"after": "30d"}}
        ),
        replies=(
            Reply(200, "The collection, as it is now.", CollectionView),
            Reply(201, "The collection, created.", CollectionView),
        ),
        problems=("invalid_collection", "forbidden"),
    ),
    Route(
        "GET",
        _COLLECTION,
        collection.get,
        name="get_collection",
        tag="Collections",
        summary="Get a collection",
        replies=(Reply(200, "The collection.", CollectionView),),
    ),
    Route(
        "DELETE",
        _COLLECTION,
        audited("collections.drop", collection.drop),
        name="drop_collection",
        tag="Collections",
        verb=Verb.ADMIN,
        summary="Drop a collection and all its records",
        description="A collection of the same name made later has nothing to do with it.",
        replies=(Reply(204, "It is gone.", None),),
        problems=("invalid_body", "forbidden"),
    ),
    *RECORD_ROUTES,
    *LETTER_ROUTES,
    *KEY_ROUTES,
    Route(
        "GET",
        "/v1/receipts/{receipt}",
        read.outcome,
        name="get_receipt",
        tag="Receipts",
        role=Role.QUERY,
        summary="What became of a write",
        description="That of a bulk is `durable` or `applied`: its lines were answered one by one.",
        replies=(Reply(200, "What became of it.", ReceiptStatus),),
    ),
    Route(
        "GET",
        "/livez",
        pages.alive,
        name="livez",
        tag="Service",
        summary="Is the process alive?",
        replies=(_HEALTHY,),
        public=True,
        counts_as=Budget.HEALTH,
    ),
    Route(
        "GET",
        "/readyz",
        pages.ready,
        name="readyz",
        tag="Service",
        summary="Is it ready for requests?",
        replies=(_HEALTHY, Reply(503, "No; `reason` says why.", Health)),
        public=True,
        counts_as=Budget.HEALTH,
    ),
    Route(
        "GET",
        "/metrics",
        pages.metrics,
        name="metrics",
        tag="Service",
        summary="Its metrics, for Prometheus",
        description="As OpenMetrics where `Accept` asks for that.",
        replies=(Reply(200, "All of them.", str, media="text/plain"),),
        public=True,
        counts_as=Budget.HEALTH,
    ),
    Route(
        "GET",
        "/openapi.json",
        pages.openapi,
        name="openapi",
        tag="Service",
        summary="This document",
        replies=(Reply(200, "OpenAPI 3.1.", dict[str, Any]),),
        public=True,
    ),
    Route(
        "GET",
        "/docs",
        pages.guide,
        name="docs",
        tag="Service",
        summary="This document, for people",
        replies=(Reply(200, "A page.", str, media="text/html"),),
        public=True,
    ),
)

PROBES: Final = tuple(one for one in ROUTES if one.name in ("livez", "readyz", "metrics"))
"""What also a process answers that has no part of the API."""


def routes_of(role: Role) -> tuple[Route, ...]:
    """What a process of a role alone takes: its own, and what each process tells of itself."""
    return tuple(one for one in ROUTES if one.public or one.role is role)
