"""Queries of alerts, dashboards and the canary parse, and ask for what the program exports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from deploy.chart import CHART, FOLDER
from tests.support.chart import of_kind, release

from penstock.telemetry.metrics import PROCESS, Metrics

RUNBOOKS = (FOLDER.parent / "docs" / "operations" / "runbooks.md").read_text()
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((CHART / "files" / "rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [one for one in RULES if "alert" in one]
OF_OTHERS = {
    "kube_horizontalpodautoscaler_status_current_replicas": {
        "namespace",
        "horizontalpodautoscaler",
    },
    "kube_horizontalpodautoscaler_spec_max_replicas": {"namespace", "horizontalpodautoscaler"},
}
"""Of kube-state-metrics, with their labels."""
OF_THE_SCRAPE = {"namespace", "pod", "job", "instance"}


def _queries() -> Iterator[tuple[str, str]]:
    for one in RULES:
        yield one.get("alert") or one["record"], one["expr"]
    for path in sorted(CHART.glob("files/dashboards/*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", _filled(target["expr"])
    for one in of_kind(release("ci/canary.yaml"), "AnalysisTemplate"):
        for metric in one["spec"]["metrics"]:
            query = metric["provider"]["prometheus"]["query"]
            yield f"canary: {metric['name']}", query.replace("{{args.canary-hash}}", "abc")


def _filled(expr: str) -> str:
    return expr.replace("$__rate_interval", "5m").replace("$namespace", ".*")


def _exported() -> dict[str, set[str]]:
    """Every series that a process exports, with its labels."""
    found: dict[str, set[str]] = {
        name + ("_total" if name.endswith("cpu_seconds") else ""): set() for name in PROCESS
    }
    for family in Metrics("serve", "0"):
        labels = set(family.labels)
        if family.kind == "counter":
            found[f"{family.name}_total"] = labels
        elif family.kind == "histogram":
            found[f"{family.name}_bucket"] = labels | {"le"}
            found[f"{family.name}_count"] = found[f"{family.name}_sum"] = labels
        else:
            found[family.name] = labels
    return found


EXPORTED = _exported()
RECORDED = {one["record"]: {"namespace"} for one in RULES if "record" in one}


def _selectors(node: Any) -> Iterator[promql_parser.VectorSelector]:
    """All selectors of a query; the parser's own walk tells of each node."""
    found: list[promql_parser.VectorSelector] = []

    def look(one: Any) -> bool:
        if isinstance(one, promql_parser.VectorSelector):
            found.append(one)
        elif isinstance(one, promql_parser.MatrixSelector):
            found.append(one.vector_selector)
        return True

    promql_parser.walk(node, look)
    return iter(found)


@pytest.mark.parametrize(("name", "query"), list(_queries()))
def test_a_query_asks_for_series_and_labels_that_there_are(name: str, query: str) -> None:
    selectors = list(_selectors(promql_parser.parse(query)))
    assert selectors, "a query that asks for nothing"
    for one in selectors:
        known = EXPORTED | RECORDED | OF_OTHERS
        assert one.name in known, f"{name}: nothing exports {one.name}"
        asked = {matcher.name for matcher in one.matchers.matchers}
        assert asked <= known[one.name] | OF_THE_SCRAPE, f"{name}: labels of {one.name}"
    grouped = {
        label.strip()
        for inside in re.findall(r"\bby \(([^)]*)\)", query)
        for label in inside.split(",")
        if label.strip()
    }
    assert (
        grouped
        <= set().union(*((EXPORTED | RECORDED | OF_OTHERS)[one.name] for one in selectors))
        | OF_THE_SCRAPE
    )


def test_the_half_second_of_the_promise_is_a_bound_of_the_histogram() -> None:
    (family,) = (one for one in Metrics("serve", "0") if one.name == "penstock_request_seconds")
    assert 0.5 in family.bounds  # type: ignore[union-attr]  # it is a histogram


@pytest.mark.parametrize("alert", ALERTS, ids=lambda one: str(one["alert"]))
def test_an_alert_says_what_is_wrong_and_has_a_runbook(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["summary"]
    place, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert place == "RUNBOOKS"
    headings = re.findall(r"^## (.+)$", RUNBOOKS, re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_the_runbooks_are_of_alerts_that_there_are() -> None:
    anchors = {one["annotations"]["runbook_url"].partition("#")[2] for one in ALERTS}
    headings = re.findall(r"^## (Penstock\w+)$", RUNBOOKS, re.MULTILINE)
    assert {one.lower() for one in headings} == anchors


def test_codes_and_routes_that_queries_name_are_those_of_the_api() -> None:
    from penstock.api.problem import STATUS  # noqa: PLC0415  # beside what it is compared with
    from penstock.api.routes import ROUTES  # noqa: PLC0415  # likewise

    codes = {str(getattr(one, "code", one)) for one in STATUS}
    names = {route.name for route in ROUTES}
    for name, query in _queries():
        for found in re.findall(r'code="([^"]+)"', query):
            assert found in codes, name
        for found in re.findall(r'route[!=~]+"([^"]+)"', query):
            assert set(found.split("|")) <= names, name


def test_dashboards_and_rules_are_rendered_into_the_release() -> None:
    objects = release("values/aws.yaml")
    (rules,) = of_kind(objects, "PrometheusRule")
    assert len(rules["spec"]["groups"]) == 5
    assert "RUNBOOKS" not in str(rules)
    (boards,) = (
        one for one in of_kind(objects, "ConfigMap") if "dashboards" in one["metadata"]["name"]
    )
    for text in boards["data"].values():
        assert json.loads(text)["panels"]
