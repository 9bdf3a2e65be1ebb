"""The values schema refuses what is not a value, with its place."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from deploy.chart import CHART, SCHEMA, ChartRefused, rendered

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
VALIDATOR = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()))
FREE = re.compile(
    r"(annotations|podLabels|podAnnotations|nodeSelector|affinity|tolerations|labels|"
    r"dashboardLabels|matchLabels|namespaceSelector|collections)$"
)
"""Maps whose names are the user's, and Kubernetes's own objects, which Kubernetes checks."""


def test_the_defaults_are_valid() -> None:
    assert VALIDATOR.is_valid(VALUES)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("mode", "microservices"),
        ("image.tag", "a b"),
        ("image.digest", "sha256:short"),
        ("image.pullPolicy", "Sometimes"),
        ("kafka.brokers", ["kafka"]),
        ("kafka.brokers", "kafka:9092"),
        ("kafka.partitions", 0),
        ("kafka.partitions", "48"),
        ("kafka.mechanism", "SCRAM-SHA-512"),
        ("mongodb.url", "mongodb://user:password@host"),
        ("mongodb.url", "postgres://host"),
        ("redis.url", "redis://:password@host"),
        ("settings", {"PENSTOCK_PAGE_SIZ": 10}),
        ("settings", {"PENSTOCK_PAGE_SIZE": "ten"}),
        ("settings", {"PENSTOCK_HOST": "::"}),
        ("settings", {"PENSTOCK_SECRET": "in a file for all to read"}),
        ("api.replicas", 0),
        ("api.autoscaling.mode", "vpa"),
        ("api.autoscaling.cpuPercent", 0),
        ("api.resources", {"requests": {"cpu": "1"}}),
        ("api.resources.limits", {"memory": "1 GB"}),
        ("api.disruption.maxUnavailable", 0),
        ("worker.autoscaling.scaleDown.stabilizationSeconds", 60),
        ("worker.autoscaling.keda.cooldownSeconds", 30),
        ("worker.autoscaling.keda.lagThreshold", "many"),
        ("worker.autoscaling.keda.authentication.sasl", "kerberos"),
        ("securityContext.runAsUser", 0),
        ("stop.marginSeconds", 0),
        ("spread.zones", "Always"),
        ("networkPolicy.kafka.ports", []),
        ("networkPolicy.entry.from", [{}]),
        ("networkPolicy.others", [{"roles": ["kafka"], "to": [], "ports": [443]}]),
        ("service.type", "ExternalName"),
        ("entry.prefix", "penstock"),
        ("entry.prefix", "/penstock/"),
        ("kong.authentication", "oauth"),
        ("collections", {"readings": {"index": []}}),
        ("collections", {"Über": {}}),
        ("trust", [{"name": "kafka"}]),
    ],
)
def test_a_value_that_cannot_be_is_refused(path: str, value: Any) -> None:
    assert not VALIDATOR.is_valid(_with(path, value))


def test_a_typo_in_any_name_is_refused() -> None:
    paths = list(_names(VALUES))
    assert len(paths) > 300
    for path in paths:
        assert not VALIDATOR.is_valid(_with(f"{path}x", None)), f"{path}x was taken"


def test_a_name_that_is_missing_is_refused() -> None:
    for name in VALUES:
        without = {key: value for key, value in VALUES.items() if key != name}
        assert not VALIDATOR.is_valid(without)


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        ("api.replicaCount=3", "replicaCount"),
        ("worker.autoscaling.maxReplicas=49", "kafka.partitions"),
        ("api.autoscaling.minReplicas=13", "minReplicas is larger"),
        ("kafka.brokers=null", "kafka"),
        ("mongodb.url=", "mongodb.url"),
        ("redis.url=", "redis.url"),
        ("kafka.mechanism=AWS_MSK_IAM", "kafka."),
        ("secrets.externalSecret.enabled=true", "store.name and remoteKey"),
        ("gateway.enabled=true", "gateway.parents"),
        ("kong.policy=redis", "kong.redisHost"),
    ],
)
def test_helm_says_what_does_not_go_together(sets: str, says: str) -> None:
    with pytest.raises(ChartRefused, match=re.escape(says)):
        rendered(sets=[sets])


def test_a_prefix_wants_a_gateway_that_takes_it_off() -> None:
    with pytest.raises(ChartRefused, match=r"entry\.prefix"):
        rendered(sets=["ingress.enabled=true", "entry.prefix=/penstock"])


def test_a_file_with_a_typo_is_refused_by_helm_too(tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("worker: {autoscaling: {keda: {lagTreshold: 5}}}\n")
    with pytest.raises(ChartRefused, match="lagTreshold"):
        rendered([path])


def _names(value: Any, path: str = "") -> Iterator[str]:
    if not isinstance(value, dict) or FREE.search(path):
        return
    for name, inner in value.items():
        where = f"{path}.{name}" if path else name
        yield where
        yield from _names(inner, where)


def _with(path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(VALUES)
    at: Any = changed
    *folders, last = path.split(".")
    for folder in folders:
        at = at[folder]
    at[last] = value
    return changed
