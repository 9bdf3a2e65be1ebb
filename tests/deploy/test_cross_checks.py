"""What one object of a release says of another holds: selectors, ports, targets, settings."""

from __future__ import annotations

import re
from typing import Any

import pytest
from deploy.chart import Document
from tests.support.chart import (
    RELEASES,
    containers,
    named,
    of_kind,
    pod_of,
    release,
    selects,
    workloads,
)

from penstock.config import Configuration

KNOWN = {f"PENSTOCK_{name.upper()}" for name in Configuration.model_fields}
NEEDED = {"PENSTOCK_HOST", "PENSTOCK_PORT"}
STORE = {"PENSTOCK_STORE_URL", "PENSTOCK_STORE_NAME"}
LOG = {"PENSTOCK_LOG_URL", "PENSTOCK_LOG_NAME"}
SECRETS = {
    "api": {"PENSTOCK_SECRET", "PENSTOCK_ADMIN_KEY"},
    "ingest": {"PENSTOCK_SECRET"},
    "query": {"PENSTOCK_SECRET"},
    "worker": set[str](),
    "serve": {"PENSTOCK_SECRET", "PENSTOCK_ADMIN_KEY"},
    "prepare": {"PENSTOCK_SECRET", "PENSTOCK_ADMIN_KEY"},
}
"""What a role is told of our own secrets, and no more."""
OF_A_ROLE = {
    "PENSTOCK_INGEST_URLS": "api",
    "PENSTOCK_QUERY_URLS": "api",
    "PENSTOCK_METRICS_PORT": "worker",
}
OF_THE_CLIENT = {"PENSTOCK_URL"}
"""Of the command line, not of a process that serves."""

each_release = pytest.mark.parametrize("name", RELEASES)


@each_release
def test_a_workload_selects_its_own_pods_and_no_other_s(name: str) -> None:
    objects = release(name)
    for one in workloads(objects):
        taken = [
            other["metadata"]["name"]
            for other in [*workloads(objects), *of_kind(objects, "Job")]
            if selects(one["spec"]["selector"], pod_of(other)["metadata"]["labels"])
        ]
        assert taken == [one["metadata"]["name"]]
        for spread in pod_of(one)["spec"]["topologySpreadConstraints"]:
            assert selects(spread["labelSelector"], pod_of(one)["metadata"]["labels"])


@each_release
def test_a_service_leads_to_a_port_of_exactly_one_workload(name: str) -> None:
    objects = release(name)
    for service in of_kind(objects, "Service"):
        behind = _selected(objects, {"matchLabels": service["spec"]["selector"]})
        assert [one["metadata"]["name"] for one in behind] == [service["metadata"]["name"]]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in _port_names(behind[0])


@each_release
def test_what_a_route_leads_to_is_there(name: str) -> None:
    objects = release(name)
    for service, port in _backends(objects):
        (found,) = named(objects, "Service", service)["spec"]["ports"]
        assert port in (found["name"], found["port"])
    for route in of_kind(objects, "IngressRoute"):
        for rule in route["spec"]["routes"]:
            for one in rule["middlewares"]:
                assert named(objects, "Middleware", one["name"])
    for ingress in of_kind(objects, "Ingress"):
        annotations = ingress["metadata"].get("annotations", {})
        for plugin in filter(None, annotations.get("konghq.com/plugins", "").split(",")):
            assert named(objects, "KongPlugin", plugin)


@each_release
def test_probes_ask_a_port_that_there_is_and_paths_that_the_api_has(name: str) -> None:
    for one in workloads(release(name)):
        (container,) = containers(one)
        for probe, path in (
            ("startupProbe", "/livez"),
            ("livenessProbe", "/livez"),
            ("readinessProbe", "/readyz"),
        ):
            asked = container[probe]["httpGet"]
            assert (asked["path"], asked["port"]) == (path, "http")
            tls = "PENSTOCK_TLS_CERT" in _settings(release(name), one)
            assert asked["scheme"] == ("HTTPS" if tls else "HTTP")
        assert _port_names(one) == {"http"}
        assert container["ports"][0]["containerPort"] == int(
            _settings(release(name), one)["PENSTOCK_PORT"]
        )


@each_release
def test_an_autoscaler_owns_the_replicas_of_a_workload_that_names_none(name: str) -> None:
    objects = release(name)
    scaled = []
    for one in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        target = one["spec"]["scaleTargetRef"]
        found = named(objects, target["kind"], target["name"])
        assert found["apiVersion"] == target["apiVersion"]
        scaled.append(found["metadata"]["name"])
    assert len(scaled) == len(set(scaled)), "two autoscalers would fight over one workload"
    for one in workloads(objects):
        assert ("replicas" in one["spec"]) == (one["metadata"]["name"] not in scaled)


@each_release
def test_workers_by_lag_are_no_more_than_partitions_and_go_slowly(name: str) -> None:
    for one in of_kind(release(name), "ScaledObject"):
        triggers = [each for each in one["spec"]["triggers"] if each["type"] == "kafka"]
        if not triggers:
            continue
        workload = named(release(name), "Deployment", one["spec"]["scaleTargetRef"]["name"])
        settings = _settings(release(name), workload)
        assert one["spec"]["maxReplicaCount"] <= int(settings["PENSTOCK_LOG_PARTITIONS"])
        scaling = one["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert scaling["scaleDown"]["stabilizationWindowSeconds"] >= 300
        assert one["spec"]["fallback"]["replicas"] >= 1
        metadata = triggers[0]["metadata"]
        assert metadata["consumerGroup"] == f"{settings['PENSTOCK_LOG_NAME']}.workers"
        assert metadata["excludePersistentLag"] == "true"
        assert metadata["allowIdleConsumers"] == "false"
        for reference in (each.get("authenticationRef") for each in triggers):
            if reference:
                assert named(release(name), "TriggerAuthentication", reference["name"])


@each_release
def test_a_disruption_budget_takes_the_pods_of_one_workload(name: str) -> None:
    objects = release(name)
    budgets = of_kind(objects, "PodDisruptionBudget")
    taken = [one for each in budgets for one in _selected(objects, each["spec"]["selector"])]
    if budgets:
        assert sorted(one["metadata"]["name"] for one in taken) == sorted(
            one["metadata"]["name"] for one in workloads(objects)
        )


@each_release
def test_network_policies_deny_all_but_the_edges_there_are(name: str) -> None:
    objects = release(name)
    policies = of_kind(objects, "NetworkPolicy")
    if not policies:
        assert "fixed" in name or "no policies" in name
        return
    for one in [*workloads(objects), *of_kind(objects, "Job")]:
        labels = pod_of(one)["metadata"]["labels"]
        taken = [each for each in policies if selects(each["spec"]["podSelector"], labels)]
        denying = [each for each in taken if not {"ingress", "egress"} & each["spec"].keys()]
        assert len(denying) == 1
        assert all(each["spec"]["policyTypes"] == ["Ingress", "Egress"] for each in taken)
        assert len(taken) == 2
    for policy in policies:
        for edge in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())):
            assert edge["ports"]
            for peer in (*edge.get("from", ()), *edge.get("to", ())):
                if set(peer) == {"podSelector"}:
                    component = peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
                    assert _selected(objects, peer["podSelector"]), f"nobody is {component}"


def test_the_edges_between_roles_are_those_of_the_design() -> None:
    edges = set()
    for policy in of_kind(release("defaults"), "NetworkPolicy"):
        who = policy["metadata"]["labels"].get("app.kubernetes.io/component")
        for edge in policy["spec"].get("egress", ()):
            edges |= {(who, to) for to in _components(edge.get("to", ()))}
            edges |= {
                (who, port["port"])
                for port in edge["ports"]
                if port["port"] in (9092, 27017, 6379) and "to" not in edge
            }
        for edge in policy["spec"].get("ingress", ()):
            edges |= {("→" + str(who), source) for source in _components(edge.get("from", ()))}
    engines = {"ingest": {9092, 27017, 6379}, "worker": {9092, 27017, 6379}}
    engines |= {"api": {27017, 6379}, "query": {27017, 6379}}
    assert edges == {
        ("api", "ingest"),
        ("api", "query"),
        ("→ingest", "api"),
        ("→query", "api"),
        *((role, port) for role, ports in engines.items() for port in ports),
    }


@each_release
def test_every_variable_is_a_setting_and_every_needed_one_is_there(name: str) -> None:
    objects = release(name)
    embedded = any("/var/lib/penstock" in str(one) for one in workloads(objects))
    for one in [*workloads(objects), *of_kind(objects, "Job")]:
        role = one["metadata"]["labels"]["app.kubernetes.io/component"]
        settings = _settings(objects, one)
        unknown = set(settings) - KNOWN
        if role == "collections":
            assert unknown == OF_THE_CLIENT
            continue
        assert unknown == set()
        needed = NEEDED | (set() if embedded else STORE)
        if not embedded and role not in ("api", "query"):
            needed |= LOG
        assert set(settings) >= needed
        assert set(settings) & SECRETS["api"] == SECRETS[role]
        for setting, whose in OF_A_ROLE.items():
            assert (setting in settings) == (role == whose)


@each_release
def test_an_engine_s_credentials_are_only_where_it_is_used(name: str) -> None:
    for one in workloads(release(name)):
        role = one["metadata"]["labels"]["app.kubernetes.io/component"]
        secret = {
            key for key, value in _settings(release(name), one).items() if isinstance(value, dict)
        }
        assert role not in ("api", "query") or "PENSTOCK_LOG_URL" not in secret


@each_release
def test_the_settings_are_values_that_the_program_takes(name: str) -> None:
    for one in workloads(release(name)):
        settings = _settings(release(name), one)
        fields = {
            key.removeprefix("PENSTOCK_").lower(): value
            for key, value in settings.items()
            if isinstance(value, str)
        }
        read = Configuration.read(**fields)
        assert read.port == 8080


@each_release
def test_roles_are_called_where_their_services_answer(name: str) -> None:
    objects = release(name)
    for one in [*workloads(objects), *of_kind(objects, "Job")]:
        for key, value in _settings(objects, one).items():
            if key in ("PENSTOCK_INGEST_URLS", "PENSTOCK_QUERY_URLS", "PENSTOCK_URL"):
                found = re.fullmatch(r"(https?)://([a-z0-9-]+):(\d+)", value)
                assert found is not None
                service = named(objects, "Service", found[2])
                (port,) = service["spec"]["ports"]
                assert (port["port"], port["appProtocol"]) == (int(found[3]), found[1])
                if key != "PENSTOCK_URL":
                    # Without an address of the service's own, nothing maps its port to the pods'.
                    assert service["spec"]["clusterIP"] == "None"
                    (behind,) = _selected(objects, {"matchLabels": service["spec"]["selector"]})
                    assert containers(behind)[0]["ports"][0]["containerPort"] == port["port"]


@each_release
def test_a_pod_outlives_its_pause_and_its_drain(name: str) -> None:
    for one in workloads(release(name)):
        settings = _settings(release(name), one)
        drain_s = int(settings.get("PENSTOCK_DRAIN_MS", Configuration.read().drain_ms)) / 1000
        pod = pod_of(one)["spec"]
        grace_s = int(settings["PENSTOCK_DRAIN_GRACE_MS"]) / 1000
        pause_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["terminationGracePeriodSeconds"] >= pause_s + grace_s + drain_s + 5


@each_release
def test_secrets_accounts_and_volumes_that_are_referred_to_are_told_of(name: str) -> None:
    objects = release(name)
    accounts = {one["metadata"]["name"] for one in of_kind(objects, "ServiceAccount")}
    for one in workloads(objects):
        spec = pod_of(one)["spec"]
        assert spec["serviceAccountName"] in accounts
        volumes = {each["name"] for each in spec["volumes"]}
        assert {each["name"] for each in spec["containers"][0]["volumeMounts"]} == volumes
    for external in of_kind(objects, "ExternalSecret"):
        fetched = {one["secretKey"] for one in external["spec"]["data"]}
        wanted = {
            variable["valueFrom"]["secretKeyRef"]["key"]
            for one in workloads(objects)
            for variable in containers(one)[0].get("env", ())
            if "valueFrom" in variable
        }
        assert fetched == wanted


@each_release
def test_what_is_scraped_is_a_port_of_the_pods(name: str) -> None:
    objects = release(name)
    monitors = of_kind(objects, "ServiceMonitor", "PodMonitor")
    for one in monitors:
        selector = one["spec"]["selector"]
        if one["kind"] == "ServiceMonitor":
            found = [
                service
                for service in of_kind(objects, "Service")
                if selects(selector, service["metadata"]["labels"])
            ]
            ports = {port["name"] for service in found for port in service["spec"]["ports"]}
        else:
            found = _selected(objects, selector)
            ports = {port for each in found for port in _port_names(each)}
        assert len(found) == 1
        endpoints = one["spec"].get("endpoints") or one["spec"]["podMetricsEndpoints"]
        assert {each["port"] for each in endpoints} <= ports
    assert len(monitors) in (0, len(workloads(objects)))


@each_release
def test_waves_put_secrets_before_topics_before_services_before_autoscalers(name: str) -> None:
    waves: dict[str, set[int]] = {}
    for one in release(name):
        found = one["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave")
        if found is not None:
            kind = (
                f"{one['kind']} {one['metadata']['name']}" if one["kind"] == "Job" else one["kind"]
            )
            waves.setdefault(kind, set()).add(int(found))
    if not waves:
        return
    order = [
        "ConfigMap",
        "ExternalSecret",
        "Job penstock-prepare",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Job penstock-collections",
    ]
    found = [wave for kind in order for wave in sorted(waves.get(kind, ()))]
    assert found == sorted(set(found))


def _selected(objects: Any, selector: dict[str, Any]) -> list[Document]:
    return [
        one
        for one in [*workloads(objects), *of_kind(objects, "Job")]
        if selects(selector, pod_of(one)["metadata"]["labels"])
    ]


def _port_names(workload: Document) -> set[str]:
    return {port["name"] for port in containers(workload)[0]["ports"]}


def _components(peers: Any) -> set[str]:
    return {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for peer in peers
        if "podSelector" in peer
    }


def _backends(objects: Any) -> list[tuple[str, str | int]]:
    """Services and ports that some route names."""
    found: list[tuple[str, str | int]] = []
    for one in of_kind(objects, "Ingress"):
        for rule in one["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                found.append((service["name"], service["port"]["name"]))
    for one in of_kind(objects, "HTTPRoute"):
        for rule in one["spec"]["rules"]:
            found += [(each["name"], each["port"]) for each in rule["backendRefs"]]
    for one in of_kind(objects, "IngressRoute"):
        for rule in one["spec"]["routes"]:
            found += [(each["name"], each["port"]) for each in rule["services"]]
    return found


def _settings(objects: Any, workload: Document) -> dict[str, Any]:
    """The variables of its first container: texts, or references to a Secret."""
    container = containers(workload)[0]
    found: dict[str, Any] = {}
    for source in container.get("envFrom", ()):
        found |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", ()):
        found[variable["name"]] = variable.get("value", variable.get("valueFrom"))
    assert all(isinstance(value, str | dict) for value in found.values())
    return found
