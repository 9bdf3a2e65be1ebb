"""Traefik's objects of Kubernetes -> a file for Traefik's file provider, which means the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import yaml

from deploy.chart import Document

API: Final = "http://127.0.0.1:8080"


def traefik_file(objects: Sequence[Document], api: str = API) -> dict[str, Any]:
    """Routers, middlewares and services, from an IngressRoute and the Middlewares it names.

    Args:
        objects: as the chart renders them; what is not Traefik's is passed over.
        api: where the service answers that stands behind the route.
    """
    routes = [one for one in objects if one["kind"] == "IngressRoute"]
    middlewares = [one for one in objects if one["kind"] == "Middleware"]
    routers = {
        f"{route['metadata']['name']}-{number}": {
            "entryPoints": route["spec"]["entryPoints"],
            "rule": rule["match"],
            "middlewares": [one["name"] for one in rule["middlewares"]],
            "service": "penstock",
            **({"tls": {}} if "tls" in route["spec"] else {}),
        }
        for route in routes
        for number, rule in enumerate(route["spec"]["routes"])
    }
    return {
        "http": {
            "routers": routers,
            "middlewares": {one["metadata"]["name"]: one["spec"] for one in middlewares},
            "services": {"penstock": {"loadBalancer": {"servers": [{"url": api}]}}},
        }
    }


def traefik_text(objects: Sequence[Document]) -> str:
    """The same, as a file."""
    return yaml.safe_dump(traefik_file(objects), sort_keys=False)
