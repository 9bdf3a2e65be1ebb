"""What no pod of ours may do, whatever the values: the restricted profile, and more."""

from __future__ import annotations

import pytest
from tests.support.chart import RELEASES, containers, of_kind, pod_of, release, workloads

each_release = pytest.mark.parametrize("name", RELEASES)


@each_release
def test_pods_are_of_the_restricted_profile(name: str) -> None:
    for one in [*workloads(release(name)), *of_kind(release(name), "Job")]:
        spec = pod_of(one)["spec"]
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & spec.keys()
        kinds = {"emptyDir", "secret", "configMap", "persistentVolumeClaim", "projected"}
        assert all((set(volume) - {"name"}) < kinds for volume in spec["volumes"])
        for container in containers(one):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            assert not {"privileged", "procMount"} & context.keys()
            assert all("hostPort" not in port for port in container.get("ports", ()))


@each_release
def test_pods_carry_no_token_and_no_service_links(name: str) -> None:
    for one in [*workloads(release(name)), *of_kind(release(name), "Job")]:
        spec = pod_of(one)["spec"]
        assert spec["automountServiceAccountToken"] is False
        # A Service called penstock would set PENSTOCK_PORT to tcp://….
        assert spec["enableServiceLinks"] is False
    for account in of_kind(release(name), "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@each_release
def test_memory_is_bounded_and_cpu_is_not_throttled(name: str) -> None:
    for one in [*workloads(release(name)), *of_kind(release(name), "Job")]:
        for container in containers(one):
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert set(container["resources"]["limits"]) == {"memory"}


@each_release
def test_no_container_runs_a_shell(name: str) -> None:
    for one in [*workloads(release(name)), *of_kind(release(name), "Job")]:
        for container in containers(one):
            assert "command" not in container
            assert "exec" not in str(container.get("lifecycle", "")) + str(
                [container.get(probe) for probe in ("livenessProbe", "readinessProbe")]
            )


@each_release
def test_rollouts_never_take_a_pod_away_before_another_is_ready(name: str) -> None:
    for one in workloads(release(name)):
        strategy = one["spec"]["strategy"]
        if strategy.get("type") == "Recreate":
            assert "/var/lib/penstock" in str(one), "only for what has a disk of its own"
        else:
            rolling = strategy.get("rollingUpdate") or strategy["canary"]
            assert rolling["maxUnavailable"] == 0
            assert rolling["maxSurge"] != 0


@each_release
def test_liveness_is_patient_and_startup_more_so(name: str) -> None:
    for one in workloads(release(name)):
        (container,) = containers(one)
        live, start = container["livenessProbe"], container["startupProbe"]
        assert live["periodSeconds"] * live["failureThreshold"] >= 30
        assert start["periodSeconds"] * start["failureThreshold"] >= 60


@each_release
def test_no_secret_is_rendered(name: str) -> None:
    assert of_kind(release(name), "Secret") == []
    for one in of_kind(release(name), "ConfigMap"):
        assert not {"PENSTOCK_SECRET", "PENSTOCK_ADMIN_KEY"} & one["data"].keys()
        assert "@" not in "".join(
            value for key, value in one["data"].items() if key.endswith("_URL")
        )


@each_release
def test_images_are_named_with_a_tag_or_a_digest_and_not_latest(name: str) -> None:
    for one in [*workloads(release(name)), *of_kind(release(name), "Job")]:
        for container in containers(one):
            _, _, tag = container["image"].rpartition(":")
            assert tag
            assert tag != "latest"


@each_release
def test_what_only_we_may_say_is_taken_from_requests_at_the_gateway(name: str) -> None:
    text = [str(one) for one in release(name)]
    for kind in ("HTTPRoute", "IngressRoute"):
        if of_kind(release(name), kind):
            assert any("Penstock-Principal" in one for one in text)
    if of_kind(release(name), "KongPlugin"):
        assert any("'headers': ['Penstock-Principal']" in one for one in text)
