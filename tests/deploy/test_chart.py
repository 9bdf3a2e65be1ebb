"""Helm takes every values file and toggle, and Kubernetes would take what comes of them."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
from deploy.chart import CHART, Document, helm
from tests.support.chart import RELEASES, all_objects, release

VERSIONS = ("1.31", "1.34", "1.37")
SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
BUILT_IN = ("", "apps", "autoscaling", "batch", "policy", "networking.k8s.io")


def test_helm_lint_has_nothing_to_say() -> None:
    files = [*CHART.glob("values/*.yaml"), *CHART.glob("ci/*.yaml")]
    assert files
    for one in files:
        said = helm("lint", "--strict", str(CHART), "--values", str(one))
        assert "0 chart(s) failed" in said, one


@pytest.mark.parametrize("name", RELEASES)
def test_names_are_given_once_and_in_one_namespace(name: str) -> None:
    objects = release(name)
    names = [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))
    assert {one["metadata"]["namespace"] for one in objects} == {"penstock"}


@pytest.mark.parametrize("name", RELEASES)
def test_no_number_is_written_as_a_power(name: str) -> None:
    for one in release(name):
        assert not re.search(r"\b[0-9.]+e\+[0-9]+\b", json.dumps(one)), one["metadata"]["name"]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object_strictly(version: str) -> None:
    looked_at = 0
    for one in all_objects():
        if _group(one) in BUILT_IN:
            errors = [
                f"{e.instance_path}: {e.message}" for e in _validator(version, one).iter_errors(one)
            ]
            assert errors == [], (one["kind"], one["metadata"]["name"])
            looked_at += 1
    assert looked_at > 100


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_are_strict(version: str) -> None:
    one = next(one for one in all_objects() if one["kind"] == "Deployment")
    one["spec"]["template"]["spec"]["container"] = []
    try:
        assert not _validator(version, one).is_valid(one)
    finally:
        del one["spec"]["template"]["spec"]["container"]


def _group(one: Document) -> str:
    group, _, version = one["apiVersion"].rpartition("/")
    del version
    return str(group)


def _validator(version: str, one: Document) -> jsonschema_rs.Validator:
    return _schema(version, one["kind"], one["apiVersion"])


@cache
def _schema(version: str, kind: str, api_version: str) -> jsonschema_rs.Validator:
    """That of kubernetes-validate's strict set, run by a faster validator than its own."""
    folder = SCHEMAS / f"v{version}.0-local-strict"
    group, _, of_group = api_version.rpartition("/")
    short = f"{group.split('.')[0]}-{of_group}" if group else of_group
    schema = json.loads((folder / f"{kind.lower()}-{short}.json").read_text())

    def retrieve(uri: str) -> Any:
        return json.loads((folder / uri.rsplit("/", 1)[-1]).read_text())

    schema["$id"] = "json-schema:///object.json"
    return jsonschema_rs.validator_for(schema, retriever=retrieve)
