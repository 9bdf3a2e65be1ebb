"""The chart's values files and a matrix of its toggles, each rendered once in a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from deploy.chart import CHART, Document, rendered

_FILES: Final = sorted((*CHART.glob("values/*.yaml"), *CHART.glob("ci/*.yaml")))

_SETS: Final = {
    "defaults": [],
    "another name": ["fullnameOverride=x", "nameOverride=y"],
    "hpa everywhere, no redis": ["redis.enabled=false", "worker.autoscaling.mode=hpa"],
    "keda without an identity": ["worker.autoscaling.mode=keda"],
    "tls within, traefik": ["tls.secretName=inner", "traefik.enabled=true"],
    "tls within, monitored": ["tls.secretName=inner", "monitoring.serviceMonitor=true"],
    "traefik by address": ["traefik.enabled=true", "traefik.rateLimitBy.depth=1"],
    "combined, keda": ["mode=combined", "serve.autoscaling.mode=keda", "argocd.waves=true"],
    "combined, collections": ["mode=combined", "collections.a.ttl.after=1d"],
    "combined, fixed": ["mode=combined", "serve.autoscaling.mode=none"],
    "embedded, a volume that exists": [
        "mode=embedded",
        "serve.persistence.existingClaim=mine",
        "monitoring.serviceMonitor=true",
        "gateway.enabled=true",
        "gateway.parents[0].name=g",
    ],
    "canary by keda": ["api.canary.enabled=true", "api.autoscaling.mode=keda"],
    "one container for all of a rate": ["api.disruption.maxUnavailable=25%"],
    "no policies, prepared": ["networkPolicy.enabled=false", "prepare.enabled=true"],
    "an ExternalSecret, prepared by Helm": [
        "prepare.enabled=true",
        "secrets.externalSecret.enabled=true",
        "secrets.externalSecret.store.name=s",
        "secrets.externalSecret.remoteKey=k",
    ],
}

RELEASES: Final[dict[str, tuple[Sequence[Path], Sequence[str]]]] = {
    **{str(path.relative_to(CHART)): ([path], []) for path in _FILES},
    **{name: ([], sets) for name, sets in _SETS.items()},
}
"""What is rendered, by a name for messages: values files, and what is set beside them."""


@cache
def release(name: str) -> tuple[Document, ...]:
    """The objects of one of `RELEASES`."""
    values, sets = RELEASES[name]
    return tuple(rendered(values, sets))


def all_objects() -> Iterator[Document]:
    """The objects of all releases, each of the same content once."""
    found = {json.dumps(one, sort_keys=True): one for name in RELEASES for one in release(name)}
    return iter(found.values())


def of_kind(objects: Sequence[Document], *kinds: str) -> list[Document]:
    return [one for one in objects if one["kind"] in kinds]


def workloads(objects: Sequence[Document]) -> list[Document]:
    """What has pods, and goes on."""
    return of_kind(objects, "Deployment", "Rollout")


def pod_of(workload: Document) -> dict[str, Any]:
    """The pod template of a workload or Job."""
    template: dict[str, Any] = workload["spec"]["template"]
    return template


def containers(workload: Document) -> list[dict[str, Any]]:
    spec = pod_of(workload)["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def named(objects: Sequence[Document], kind: str, name: str) -> Document:
    """The one object of that kind and name. Raises `AssertionError` where there is none."""
    found = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} objects {kind}/{name}"
    return found[0]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether `matchLabels` (the only kind that the chart uses) take these labels."""
    assert set(selector) == {"matchLabels"}
    wanted: dict[str, str] = selector["matchLabels"]
    return wanted.items() <= labels.items()
