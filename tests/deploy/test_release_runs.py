"""The processes of a release, with just the settings that the chart renders, on real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from deploy.chart import rendered
from tests.support.chart import containers, named, workloads
from tests.support.server import own_name
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.node import Node, free_ports
from tests.support.servers.redis import Redis

SECRETS = {
    "secret": "0123456789abcdef0123456789abcdef",
    "admin-key": "admin-0123456789abcdef",
}


@pytest.mark.long
def test_the_roles_of_a_release_work_together_and_leave_well(
    kafka: Kafka, mongodb: MongoDB, redis: Redis, tmp_path: Path
) -> None:
    with ExitStack() as running:
        nodes = dict(_started(kafka, mongodb, redis, tmp_path, running))
        for node, port in nodes.values():
            node.until(partial(_is_ready, port), "readiness")
            assert _asked(port, "/livez")[0] == 200
            assert b"penstock_build_info" in _asked(port, "/metrics")[1]
        node, api = nodes["api"]
        path = "/v1/collections/c"
        # What is refused for the moment is sent again, as a client would.
        node.until(lambda: _asked(api, path, "PUT", b"{}")[0] in (200, 201), "a collection")
        record = f"{path}/records/r"
        node.until(
            lambda: _asked(api, record, "PUT", b'{"n":1}', Prefer="wait")[0] in (200, 201),
            "a record",
        )
        assert json.loads(_asked(api, f"{path}/records/r")[1])["data"] == {"n": 1}
        for role in ("ingest", "query"):
            # Nobody but our own API is believed there.
            assert _asked(nodes[role][1], f"{path}/records/r")[0] == 401
        for role, (node, _) in nodes.items():
            os.kill(node.pid, 15)
            assert node.wait(30) == 0, role


@pytest.mark.long
def test_what_prepares_a_release_finds_the_engines_well_and_makes_the_topic(
    kafka: Kafka, mongodb: MongoDB, redis: Redis, tmp_path: Path
) -> None:
    sets = _sets(kafka, mongodb, redis, tmp_path, "prepare.enabled=true")
    job = named(rendered(sets=sets), "Job", "penstock-prepare")
    told = ""
    for step in containers(job):
        done = subprocess.run(
            [sys.executable, "-m", "penstock.cli", *step["args"]],
            env=_clean(_environment({}, step)),
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told = done.stdout
    assert told.split("\t")[1:] == ["4", "open\n"]


def _sets(kafka: Kafka, mongodb: MongoDB, redis: Redis, folder: Path, *more: str) -> list[str]:
    name = own_name(folder)
    return [
        f"kafka.brokers={{{kafka.bootstrap}}}",
        f"mongodb.url={mongodb.url}",
        f"redis.url={redis.url}",
        f"kafka.name={name}",
        f"mongodb.name={name}",
        "kafka.partitions=4",
        "worker.autoscaling.maxReplicas=4",
        *more,
    ]


def _started(
    kafka: Kafka, mongodb: MongoDB, redis: Redis, folder: Path, running: ExitStack
) -> Iterator[tuple[str, tuple[Node, int]]]:
    objects = rendered(sets=_sets(kafka, mongodb, redis, folder))
    ports = dict(zip(("ingest", "query", "worker", "api"), free_ports(4), strict=True))
    for role, port in ports.items():
        workload = named(objects, "Deployment", f"penstock-{role}")
        assert workload in workloads(objects)
        (container,) = containers(workload)
        settings = _environment(named(objects, "ConfigMap", "penstock")["data"], container)
        # The pods of a release have an address each; ours have a port each of the one that we have.
        for key, value in settings.items():
            for other, at in ports.items():
                value = value.replace(f"penstock-{other}:8080", f"127.0.0.1:{at}")  # noqa: PLW2901  # step by step
            if key in ("PENSTOCK_PORT", "PENSTOCK_METRICS_PORT"):
                value = str(port)  # noqa: PLW2901  # likewise
            settings[key] = value
        command = [sys.executable, "-m", "penstock.cli", *container["args"]]
        node = Node(f"release-{role}", command, folder, settings)
        node.start()
        running.callback(node.stop)
        yield role, (node, port)


def _is_ready(port: int) -> bool:
    return _asked(port, "/readyz")[0] == 200


def _environment(shared: Mapping[str, str], container: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a container, with the values of a Secret put in."""
    found = dict(shared)
    for variable in container.get("env", ()):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        else:
            found[variable["name"]] = SECRETS[variable["valueFrom"]["secretKeyRef"]["key"]]
    return found


def _clean(settings: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **settings}


def _asked(
    port: int, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    given = {"Authorization": f"Bearer {SECRETS['admin-key']}", **headers}
    if body is not None:
        given["Content-Type"] = "application/json"
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, given, method=method)
    for _ in range(2):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    return 0, b""
