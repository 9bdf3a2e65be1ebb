"""Objects that Kubernetes itself does not know, against the schemas that their makers publish."""

from __future__ import annotations

import copy
import os
from typing import Any

import jsonschema_rs
import pytest
from deploy.chart import FOLDER, Document, documents
from tests.deploy.test_chart import BUILT_IN
from tests.support.chart import all_objects
from tests.support.models import NoModels, is_known, problems

KONG = jsonschema_rs.validator_for(
    {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "plugin"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": "configuration.konghq.com/v1"},
            "kind": {"const": "KongPlugin"},
            "metadata": {"type": "object"},
            "plugin": {"enum": ["rate-limiting", "key-auth", "jwt", "request-transformer"]},
            "config": {"type": "object"},
            **{
                name: {}
                for name in (
                    "configFrom",
                    "configPatches",
                    "consumerRef",
                    "disabled",
                    "instance_name",
                    "ordering",
                    "protocols",
                    "run_on",
                )
            },
        },
    }
)
"""Kong publishes no package of its schema; this is KongPlugin as its reference has it."""


WRONG: list[tuple[str, list[Any], Any]] = [
    ("ScaledObject", ["spec", "maxReplicas"], 3),
    ("ScaledObject", ["spec", "minReplicaCount"], "two"),
    ("HTTPRoute", ["spec", "rules", 0, "backendRef"], []),
    ("Middleware", ["spec", "ratelimit"], {}),
    ("PrometheusRule", ["spec", "groups", 0, "rules", 0, "expression"], "1"),
    ("Rollout", ["spec", "strategy", "canary", "step"], []),
    ("ExternalSecret", ["spec", "refreshIntervall"], "1h"),
]
"""What is done to an object of a kind so that its schema has to refuse it."""


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What the schemas say of all objects, and of some that were made wrong, in one go."""
    try:
        return problems([*_known(), *map(_wrong, range(len(WRONG)))])
    except NoModels as error:
        if os.environ.get("PENSTOCK_REQUIRE_SERVERS"):
            raise
        pytest.skip(f"no schemas of custom resources: {error}")


def test_custom_resources_are_what_their_schemas_say(told: list[str]) -> None:
    assert {one["kind"] for one in _known()} >= {
        "ScaledObject",
        "TriggerAuthentication",
        "HTTPRoute",
        "IngressRoute",
        "Middleware",
        "Rollout",
        "AnalysisTemplate",
        "ExternalSecret",
        "ServiceMonitor",
        "PodMonitor",
        "PrometheusRule",
        "AppProject",
        "Application",
        "ApplicationSet",
    }
    assert [one for one in told if " wrong-" not in one] == []


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_the_schemas_find_what_is_wrong(told: list[str], number: int) -> None:
    assert [one for one in told if f" wrong-{number}:" in one] != []


def test_no_custom_resource_goes_without_a_schema() -> None:
    for one in all_objects():
        group = one["apiVersion"].rpartition("/")[0]
        assert group in BUILT_IN or is_known(one) or one["kind"] == "KongPlugin", one["apiVersion"]


def test_kong_s_plugins_have_the_fields_of_its_reference() -> None:
    for one in all_objects():
        if one["kind"] == "KongPlugin":
            KONG.validate(one)


def _known() -> list[Document]:
    return [one for one in [*all_objects(), *_argo()] if is_known(one)]


def _wrong(number: int) -> Document:
    kind, (*folders, last), value = WRONG[number]
    one = copy.deepcopy(next(one for one in all_objects() if one["kind"] == kind))
    one["metadata"]["name"] = f"wrong-{number}"
    at: Any = one
    for step in folders:
        at = at[step]
    at[last] = value
    return one


def _argo() -> list[Document]:
    return [
        one
        for path in sorted((FOLDER / "argocd").rglob("*.yaml"))
        if "environments" not in path.parts
        for one in documents(path.read_text())
    ]
