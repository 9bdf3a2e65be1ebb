"""Idempotency across two processes: the receipt replayed, in flight, mismatched, forgotten."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from tests.support.asking import Caller, Reply
from tests.support.platform import Platform, running
from tests.support.server import Server
from tests.support.servers.fetch import NotAvailable
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.redis import Redis

DEADLINE_MS = 3_000
RECORDS = "/v1/collections/c/records"
KINDS = [False, pytest.param(True, marks=pytest.mark.long)]
"""On a single Redis, and on a cluster."""


@pytest.fixture(scope="module", params=KINDS, ids=["single", "cluster"])
def own_redis(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Redis]:
    """One that may be killed; it comes last in each platform."""
    try:
        server = Redis(tmp_path_factory.mktemp("redis"), cluster=request.param)
    except NotAvailable as error:
        pytest.skip(f"no server to test against: {error}")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def platform(
    own_redis: Redis, kafka: Kafka, mongodb: MongoDB, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """Two APIs and a worker."""
    folder = tmp_path_factory.mktemp("platform")
    # Whether things are in time is asked elsewhere, where nothing else runs on the same cores.
    slow = {"PENSTOCK_DEADLINE_MS": str(DEADLINE_MS), "PENSTOCK_CACHE_TIMEOUT_MS": "2000"}
    with running(folder, kafka, mongodb, own_redis, **slow) as one:
        one.another_api().start()
        one.worker()
        assert Caller(one.api).put("/v1/collections/c", {}).status == 201
        yield one


def create(server: Server, key: str, value: Any) -> Reply:
    content = {"Content-Type": "application/json", "Idempotency-Key": key}
    return Caller(server)("POST", RECORDS, value, content)


def outcome(server: Server, receipt: str) -> str:
    """What became of a write, once it is known."""
    until = time.monotonic() + 30
    while True:
        status = str(Caller(server)("GET", f"/v1/receipts/{receipt}").json["status"])
        if status != "durable" or time.monotonic() > until:
            return status
        time.sleep(0.05)


def records(server: Server, receipt: str) -> int:
    """How many there are, at least as late as the receipt."""
    found = Caller(server)("GET", f"{RECORDS}?count=exact", headers={"Penstock-Receipt": receipt})
    assert found.status == 200, found
    return int(found.json["count"]["value"])


@contextmanager
def in_flight(kafka: Kafka, server: Server, key: str, body: bytes) -> Iterator[Future[Reply]]:
    """A request that its process has claimed, and that waits for the log."""
    with ThreadPoolExecutor(1) as pool:
        for node in kafka.nodes:
            node.pause()
        try:
            asked = pool.submit(create, server, key, body)
            time.sleep(0.5)
            assert not asked.done()
            yield asked
        finally:
            for node in kafka.nodes:
                node.resume()


def test_a_request_repeated_at_another_process_gets_the_same_receipt(platform: Platform) -> None:
    first, second = platform.apis[:2]
    one = create(first, "same", b'{"a":1}')
    again = create(second, "same", b'{"a":1}')
    assert (one.status, again.status) == (202, 202)
    assert again.json == one.json
    other = create(second, "same", b'{"a":2}')
    assert (other.status, other.code) == (422, "idempotency_mismatch")
    assert outcome(second, one.json["receipt"]) == "applied"


def test_a_request_in_flight_at_one_process_is_409_at_another(
    platform: Platform, kafka: Kafka
) -> None:
    first, second = platform.apis[:2]
    with in_flight(kafka, first, "flying", b'{"a":1}') as asked:
        again = create(second, "flying", b'{"a":1}')
        assert (again.status, again.code) == (409, "idempotency_in_flight")
        assert again.headers["retry-after"] == "1"
        assert create(second, "flying", b'{"a":2}').code == "idempotency_mismatch"
        for node in kafka.nodes:
            node.resume()
        landed = asked.result()
    assert landed.status == 202, landed
    assert create(second, "flying", b'{"a":1}').json == landed.json


def test_what_a_dead_process_had_in_flight_is_free_again_and_has_one_effect(
    platform: Platform, kafka: Kafka
) -> None:
    first, second = platform.apis[:2]
    before = records(second, create(second, "before", b"{}").json["receipt"])
    with in_flight(kafka, first, "orphan", b'{"a":1}') as asked:
        first.kill()
        died = time.monotonic()
        with pytest.raises(OSError, match=r"closed|reset|disconnect"):
            asked.result()
    replies = [create(second, "orphan", b'{"a":1}')]
    while replies[-1].status != 202:
        assert replies[-1].code == "idempotency_in_flight"
        assert time.monotonic() - died < DEADLINE_MS / 1000 + 3
        time.sleep(0.2)
        replies.append(create(second, "orphan", b'{"a":1}'))
    assert len(replies) > 1
    receipt = replies[-1].json["receipt"]
    assert outcome(second, receipt) in ("applied", "duplicate")
    assert records(second, receipt) == before + 1
    first.start()


def test_without_redis_a_repetition_has_a_new_receipt_and_no_second_effect(
    platform: Platform, own_redis: Redis
) -> None:
    first, second = platform.apis[:2]
    one = create(first, "lost", b'{"a":1}')
    before = records(first, one.json["receipt"])
    for node in own_redis.nodes:
        node.kill()
    again = create(second, "lost", b'{"a":1}')
    assert (again.status, again.json["id"]) == (202, one.json["id"])
    assert again.json["receipt"] != one.json["receipt"]
    assert outcome(first, again.json["receipt"]) == "duplicate"
    assert records(first, again.json["receipt"]) == before
