"""A key that is revoked in one process is refused by another, which never asks while it serves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support.asking import Caller
from tests.support.platform import Platform, running
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB

_BOUND_S: Final = 5.0


@pytest.fixture
def platform(tmp_path: Path, kafka: Kafka, mongodb: MongoDB) -> Iterator[Platform]:
    with running(tmp_path, kafka, mongodb) as one:
        one.another_api().start()
        yield one


def make_key(ask: Caller) -> Any:
    body = {"name": "k", "scopes": [{"collections": "*", "verbs": ["read"]}]}
    content = {"Content-Type": "application/json"}
    return ask("POST", "/v1/keys", json.dumps(body).encode(), content).json


def status(ask: Caller, key: str) -> int:
    return ask("GET", "/v1/collections", headers={"Authorization": f"Bearer {key}"}).status


def seconds_until(wanted: int, ask: Caller, key: str) -> float:
    """Until the key, which is in use all the while, is answered so."""
    start = time.monotonic()
    while status(ask, key) != wanted:
        assert time.monotonic() - start < 4 * _BOUND_S
        time.sleep(0.05)
    return time.monotonic() - start


def test_a_revocation_is_seen_by_all_processes_and_waits_for_a_store_that_is_away(
    platform: Platform, mongodb: MongoDB
) -> None:
    asking = [Caller(api) for api in platform.apis]
    one, other = asking
    first, second, unknown = (make_key(one) for _ in range(3))
    for key in (first, second):
        assert [status(ask, key["key"]) for ask in asking] == [200, 200]
    assert one("DELETE", f"/v1/keys/{first['id']}").status == 204
    assert status(one, first["key"]) == 401
    assert seconds_until(401, other, first["key"]) < _BOUND_S

    mongodb.nodes[0].pause()
    try:
        refused = one("DELETE", f"/v1/keys/{second['id']}")
        assert (refused.status, refused.json["retryable"]) == (503, True)
        assert [status(ask, unknown["key"]) for ask in asking] == [503, 503]
        until = time.monotonic() + 4 * _BOUND_S
        while not all("keyring_unreachable" in api.log.read_text() for api in platform.apis):
            assert time.monotonic() < until
            time.sleep(0.1)
        for ask in asking:
            known = {"Authorization": f"Bearer {second['key']}"}
            assert ask("GET", "/v1/receipts/x", headers=known).code == "invalid_receipt"
    finally:
        mongodb.nodes[0].resume()
    for key in (second, unknown):
        for ask in asking:
            seconds_until(200, ask, key["key"])
    listed = other("GET", "/v1/keys").json["keys"]
    assert [key["id"] for key in listed] == [second["id"], unknown["id"]]
    assert one("DELETE", f"/v1/keys/{second['id']}").status == 204
    assert seconds_until(401, other, second["key"]) < _BOUND_S
