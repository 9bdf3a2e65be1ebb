"""The rendered rules in a real Traefik, before the real API: what they promise, asked for."""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from deploy.chart import CHART, FOLDER
from deploy.routes import traefik_file
from tests.support.chart import release
from tests.support.house import KEY
from tests.support.server import Server
from tests.support.servers.node import Node, free_ports

from penstock.config import Configuration

RATE = {"average": 20, "burst": 10}
SECRET = "who I am: anybody"
NOBODY = 0
"""In place of a status, where nobody listens."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> str:
        return str(json.loads(self.body)["code"])


Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("gateway") / "data", PENSTOCK_LOG_LEVEL="debug")
    one.start()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def through(api: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Ask through a Traefik, whose rules are the chart's for values/gateway.yaml."""
    rules = traefik_file(release("values/gateway.yaml"), api.url)
    with _traefik(tmp_path_factory.mktemp("traefik"), rules) as ask:
        yield ask


@pytest.fixture(scope="module")
def limited(api: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """The same, with a limit that can be reached, and keys looked at by Traefik before."""
    objects = json.loads(json.dumps(release("ci/traefik.yaml")))
    rules = traefik_file(objects, api.url)
    chain = rules["http"]["middlewares"]
    chain["penstock-forward-auth"]["forwardAuth"]["address"] = f"{api.url}/v1/collections"
    chain["penstock-rate-limit"]["rateLimit"] |= RATE
    (router,) = rules["http"]["routers"].values()
    router["entryPoints"] = ["web"]
    router["rule"] = router["rule"].replace("api.example.com", "localhost")
    del router["tls"]
    with _traefik(tmp_path_factory.mktemp("traefik"), rules) as ask:
        yield ask


class _traefik:  # noqa: N801  # a context manager, used as a function
    """A Traefik with these rules, and a way to ask through it."""

    def __init__(self, folder: Path, rules: dict[str, Any]) -> None:
        program = Path(sys.executable).with_name("traefik")
        if not program.exists() and shutil.which("traefik") is None:
            pytest.skip("no Traefik")
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
        port, ping = free_ports(2)
        self._port = port
        self._ping = ping
        self._node = Node(
            "traefik",
            [
                str(program) if program.exists() else "traefik",
                f"--entryPoints.web.address=127.0.0.1:{port}",
                f"--entryPoints.traefik.address=127.0.0.1:{ping}",
                "--ping=true",
                f"--providers.file.filename={folder / 'rules.yaml'}",
                "--global.checkNewVersion=false",
                "--global.sendAnonymousUsage=false",
            ],
            folder,
        )

    def __enter__(self) -> Ask:
        self._node.start()
        # The rules are read after the first ping is answered: wait for the route itself.
        self._node.until(self._has_route, "a route")
        return lambda *given, **more: _ask(self._port, *given, **more)

    def _has_route(self) -> bool:
        return _ask(self._port, "GET", "/penstock/livez").status not in (NOBODY, 404)

    def __exit__(self, *_: object) -> None:
        self._node.stop()


def _ask(
    port: int, method: str, path: str, body: bytes | None = None, key: str = KEY, **headers: str
) -> Answer:
    given = {"Host": "localhost", **({"Authorization": f"Bearer {key}"} if key else {})}
    if body is not None:
        given["Content-Type"] = "application/json"
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, headers=given, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answer(answer.status, _lower(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _lower(error.headers), error.read())
    except (urllib.error.URLError, ConnectionError):
        return Answer(NOBODY, {}, b"")


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def test_the_prefix_is_taken_off_and_the_api_answers(through: Ask) -> None:
    assert through("PUT", "/penstock/v1/collections/c", b"{}").status in (200, 201)
    put = through("PUT", "/penstock/v1/collections/c/records/r", b'{"n":1}', Prefer="wait")
    assert json.loads(put.body)["status"] == "applied"
    got = through("GET", "/penstock/v1/collections/c/records/r")
    assert json.loads(got.body)["data"] == {"n": 1}


def test_odd_ids_come_through_as_they_are(through: Ask) -> None:
    through("PUT", "/penstock/v1/collections/c", b"{}")
    for quoted, record_id in (("a%20b", "a b"), ("%C3%BC", "ü")):
        path = f"/penstock/v1/collections/c/records/{quoted}"
        assert through("PUT", path, b"{}", Prefer="wait").status in (200, 201)
        assert json.loads(through("GET", path).body)["id"] == record_id


def test_without_the_prefix_there_is_nothing(through: Ask) -> None:
    assert through("GET", "/v1/collections").status == 404
    assert through("GET", "/penstock", Host="elsewhere.example.com").status == 404


def test_a_request_without_a_key_is_401_of_the_api_s_making(through: Ask) -> None:
    answer = through("GET", "/penstock/v1/collections", key="")
    assert answer.status == 401
    assert answer.problem == "unauthenticated"
    assert answer.headers["content-type"] == "application/problem+json"
    assert "bearer" in answer.headers["www-authenticate"].lower()


def test_headers_are_added_and_the_api_s_own_are_kept(through: Ask) -> None:
    through("PUT", "/penstock/v1/collections/c", b"{}")
    through("PUT", "/penstock/v1/collections/c/records/h", b"{}", Prefer="wait")
    answer = through("GET", "/penstock/v1/collections/c/records/h")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["etag"]
    again = through(
        "GET", "/penstock/v1/collections/c/records/h", If_None_Match=answer.headers["etag"]
    )
    assert again.status == 304


def test_a_caller_cannot_say_who_it_is(tmp_path: Path) -> None:
    """What only our own processes may say does not come through: asked of a server that echoes."""
    port = free_ports(1)[0]
    echo = Node(
        "echo",
        [sys.executable, "-m", "tests.deploy.echo", str(port)],
        tmp_path,
        {"PYTHONPATH": str(FOLDER.parent)},
    )
    echo.start()
    try:
        rules = traefik_file(release("values/gateway.yaml"), f"http://127.0.0.1:{port}")
        with _traefik(tmp_path, rules) as ask:
            echo.until(lambda: ask("GET", "/penstock/x").status == 200, "an echo")
            answer = ask("GET", "/penstock/x", Penstock_Principal=SECRET, Penstock_Receipt="kept")
    finally:
        echo.stop()
    heard = json.loads(answer.body)
    assert heard["path"] == "/x"
    assert heard["headers"]["penstock-receipt"] == "kept"
    assert SECRET not in heard["headers"].get("penstock-principal", "")
    assert heard["headers"]["x-forwarded-prefix"] == "/penstock"


def test_a_bulk_streams_both_ways(through: Ask) -> None:
    through("PUT", "/penstock/v1/collections/c", b"{}")
    lines = b"".join(b'{"id":"b%d","data":{}}\n' % number for number in range(2_000))
    answer = through(
        "POST",
        "/penstock/v1/collections/c/records:bulk",
        lines,
        Content_Type="application/x-ndjson",
    )
    results = answer.body.splitlines()
    assert len(results) == 2_001
    assert json.loads(results[-1])["accepted"] == 2_000


def test_more_than_the_rate_is_429_and_another_key_is_not_touched(limited: Ask) -> None:
    def one(_: int) -> int:
        return limited("GET", "/penstock/v1/collections").status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(one, range(60)))
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= RATE["burst"]
    refused = next(
        answer
        for answer in (limited("GET", "/penstock/v1/collections") for _ in range(60))
        if answer.status == 429
    )
    assert int(refused.headers["retry-after"]) >= 0
    # Another key is not ours, but has a rate of its own: it is the API that refuses it.
    assert limited("GET", "/penstock/v1/collections", key="another-0123456789").status == 401
    time.sleep(1)
    assert limited("GET", "/penstock/v1/collections").status == 200


def test_forward_authentication_refuses_before_the_api_is_asked(limited: Ask) -> None:
    time.sleep(1)
    answer = limited("GET", "/penstock/openapi.json", key="wrong-0123456789ab")
    # Of the API itself this page needs no key: it was the gateway that asked for one.
    assert answer.status == 401
    assert limited("GET", "/penstock/openapi.json").status == 200


def test_the_file_for_a_traefik_without_kubernetes_is_what_was_tried(api: Server) -> None:
    text = (FOLDER / "gateway" / "traefik" / "penstock.yaml").read_text()
    tried = traefik_file(release("values/gateway.yaml"), api.url)
    kept = yaml.safe_load(text)
    servers = tried["http"]["services"]["penstock"]["loadBalancer"]["servers"]
    servers[0]["url"] = f"http://127.0.0.1:{Configuration.model_fields['port'].default}"
    assert kept == tried
    assert (CHART / "values" / "gateway.yaml").exists()
