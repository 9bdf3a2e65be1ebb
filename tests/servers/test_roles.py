"""Two processes of each role: one of them is killed, sleeps, or is restarted, and clients go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.writers import Load
from tests.support.asking import Caller
from tests.support.platform import await_assigned
from tests.support.roles import SECRET, Roles
from tests.support.server import Server
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.node import Node
from tests.support.servers.redis import Redis

WRITERS = 8
DEADLINE_S = 15
"""Whether all is in time is asked elsewhere, where nothing else runs on the same cores."""
JSON = {"Content-Type": "application/json"}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def roles(
    tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, mongodb: MongoDB, redis: Redis
) -> Iterator[Roles]:
    house = Roles(
        tmp_path_factory.mktemp("roles") / "data",
        PENSTOCK_LOG_URL=kafka.url,
        PENSTOCK_STORE_URL=mongodb.url,
        PENSTOCK_CACHE_URL=redis.url,
        PENSTOCK_DEADLINE_MS=str(DEADLINE_S * 1000),
        PENSTOCK_DRAIN_GRACE_MS="1000",
    )
    house.start()
    try:
        yield house
        house.stop()
    finally:
        house.close()


@pytest.fixture(scope="module")
def writers(roles: Roles) -> Load:
    return Load(roles.urls, WRITERS)


@pytest.fixture
def load(writers: Load) -> Iterator[Load]:
    """Writers that go to both API processes; afterwards everything is there, once, and in order."""
    writers.reset()
    yield writers
    writers.check()


def but_for_lag(failures: list[str]) -> list[str]:
    """Without reads that asked for more than was applied in time, on a machine that is busy."""
    return [one for one in failures if one != "a read was answered 503 not_applied_yet"]


@pytest.mark.parametrize("role", ["ingest", "query", "api"])
def test_one_that_is_killed_costs_at_most_the_requests_it_held(
    roles: Roles, load: Load, role: str
) -> None:
    victim = {"ingest": roles.ingests, "query": roles.queries, "api": roles.apis}[role][-1]
    with load:
        load.go_on_for(100)
        victim.kill()
        load.go_on_for(300)
        Server.start(victim)
        load.go_on_for(100)
    failures = but_for_lag(load.failures)
    # Each writer has one request under way; what a service held is asked of another one.
    unanswered = [one for one in failures if "answered" not in one]
    assert len(unanswered) <= (WRITERS if role == "api" else 0), failures
    # What an API process held may be under way behind it yet when its client repeats it.
    answered = [one for one in failures if one not in unanswered]
    assert all(role == "api" and "409 idempotency_in_flight" in one for one in answered), failures


def test_a_worker_that_is_killed_costs_no_write_and_reads_that_ask_for_more_wait_or_say_so(
    roles: Roles, load: Load
) -> None:
    victim = roles.workers[0]
    times = victim.log.read_text().count("assigned")
    with load:
        load.go_on_for(100)
        victim.kill()
        load.go_on_for(300)
        victim.start()
        await_assigned(victim, times + 1)
        load.go_on_for(100)
    assert but_for_lag(load.failures) == []


def test_a_query_service_that_sleeps_costs_no_read(roles: Roles, load: Load) -> None:
    with load:
        load.go_on_for(100)
        roles.queries[0].pause()
        begin = time.monotonic()
        for _ in range(50):
            assert Caller(roles)("GET", "/v1/collections/crash/records/none").status == 404
        # The deadline of a single one of them is twice as long.
        assert time.monotonic() - begin < DEADLINE_S / 2
        load.go_on_for(100)
        roles.queries[0].resume()
        load.go_on_for(100)
    assert but_for_lag(load.failures) == []


def test_an_ingest_service_that_sleeps_costs_what_it_holds_and_that_is_not_denied(
    roles: Roles, load: Load
) -> None:
    with load:
        load.go_on_for(100)
        roles.ingests[0].pause()
        load.go_on_for(300)
        roles.ingests[0].resume()
        load.go_on_for(100)
    failures = but_for_lag(load.failures)
    assert len(failures) <= WRITERS
    assert all("503 outcome_unknown" in one for one in failures), failures


@pytest.mark.parametrize(("rounds", "each"), [(1, 1), pytest.param(3, 2, marks=pytest.mark.long)])
def test_processes_of_each_role_are_restarted_and_no_request_fails(
    roles: Roles, load: Load, rounds: int, each: int
) -> None:
    with load:
        for _ in range(rounds):
            for some in (roles.apis, roles.ingests, roles.queries):
                for server in some[-each:]:
                    Server.stop(server)
                    Server.start(server)
                    load.go_on_for(50)
            for worker in roles.workers[-each:]:
                restart(worker)
                load.go_on_for(50)
    assert but_for_lag(load.failures) == []


def restart(worker: Node) -> None:
    times = worker.log.read_text().count("assigned")
    worker.stop()
    assert worker.wait(0) == 0
    worker.start()
    await_assigned(worker, times + 1)


def test_services_take_no_keys_and_no_forged_principals(roles: Roles) -> None:
    for service, target in ((roles.ingests[0], "/v1/collections/c/records/a"),):
        for headers in ({}, {"Penstock-Principal": "forged"}):
            reply = Caller(service)("PUT", target, b"{}", {**JSON, **headers})
            assert (reply.status, reply.code) == (401, "unauthenticated")
    reply = Caller(roles.queries[0])("GET", "/v1/collections/c/records/a")
    assert (reply.status, reply.code) == (401, "unauthenticated")


def test_an_api_process_neither_believes_nor_passes_on_a_clients_principal(roles: Roles) -> None:
    ask = Caller(roles)
    assert ask.put("/v1/collections/vouched", {}).status == 201
    forged = {"Penstock-Principal": "forged"}
    assert ask.put("/v1/collections/vouched/records/a?ack=applied", {}, **forged).status == 201
    keyless = {**forged, "Authorization": "Bearer wrong"}
    reply = ask("GET", "/v1/collections/vouched/records/a", None, keyless)
    assert (reply.status, reply.code) == (401, "unauthenticated")


def test_a_query_service_needs_no_kafka(tmp_path: Path, mongodb: MongoDB) -> None:
    settings = {"PENSTOCK_STORE_URL": mongodb.url, "PENSTOCK_SECRET": SECRET}
    query = Server(tmp_path / "query", "query", **settings)
    try:
        query.start()
        query.stop()
    finally:
        query.close()


def test_a_service_without_the_secret_of_the_others_does_not_start(
    tmp_path: Path, mongodb: MongoDB
) -> None:
    query = Server(tmp_path / "query", "query", PENSTOCK_STORE_URL=mongodb.url)
    with pytest.raises(AssertionError, match="set PENSTOCK_SECRET"):
        query.start()
    query.close()
