"""What `penstock check` makes of what engines and settings say, engines being as they are told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from bson.timestamp import Timestamp

from penstock.adapters.embedded.directory import DataDirectory
from penstock.adapters.kafka import inspection as kafka
from penstock.adapters.kafka.cluster import Topic
from penstock.adapters.kafka.inspection import Placed
from penstock.adapters.mongodb import inspection as mongodb
from penstock.config import Configuration
from penstock.errors import ConfigurationError
from penstock.ports.check import Finding, Level, clock_skew
from penstock.wiring.check import check

GOOD = {
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
    "retention.ms": "86400000",
    "retention.bytes": "-1",
}
BROKER = {
    "group.coordinator.rebalance.protocols": "classic,consumer",
    "socket.request.max.bytes": "104857600",
    "auto.create.topics.enable": "false",
}


def topic(replicas: int = 3, **settings: str) -> Topic:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return Topic("penstock.g1", "id", 2, replicas, GOOD | named)


def wrong(findings: Any) -> dict[str, Level]:
    """What is not well, by subject."""
    return {one.subject: one.level for one in findings if one.level is not Level.OK}


@pytest.mark.parametrize(
    ("theirs", "found", "level"),
    [
        (1_000, "agrees with ours, as far as an answer's time can tell", Level.OK),
        (1_010, "agrees with ours, as far as an answer's time can tell", Level.OK),
        (2_010, "1000 ms ahead of ours", Level.OK),
        (2_011, "1001 ms ahead of ours", Level.WARNING),
        (-1, "1001 ms behind ours", Level.WARNING),
        (61_011, "60001 ms ahead of ours", Level.FAILURE),
    ],
)
def test_a_clock_is_off_by_what_the_time_of_the_answer_does_not_explain(
    theirs: int, found: str, level: Level
) -> None:
    finding = clock_skew(1_000, theirs, 1_010)
    assert (finding.found, finding.level) == (found, level)


def test_a_topic_on_three_brokers_with_two_in_sync_is_well() -> None:
    findings = [*kafka.durability(topic()), *kafka.retention(GOOD, 86_400_000)]
    assert wrong(findings) == {}


@pytest.mark.parametrize(
    ("replicas", "settings", "expected"),
    [
        (1, {"min_insync_replicas": "1"}, {"replication factor": Level.WARNING}),
        (3, {"min_insync_replicas": "1"}, {"min.insync.replicas": Level.WARNING}),
        (3, {"min_insync_replicas": "3"}, {"min.insync.replicas": Level.WARNING}),
        (3, {"min_insync_replicas": "4"}, {"min.insync.replicas": Level.WARNING}),
        (
            3,
            {"unclean_leader_election_enable": "true"},
            {"unclean.leader.election.enable": Level.FAILURE},
        ),
    ],
)
def test_what_makes_a_topic_less_than_durable_is_told(
    replicas: int, settings: dict[str, str], expected: dict[str, Level]
) -> None:
    assert wrong(kafka.durability(topic(replicas, **settings))) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"retention.ms": "86400001"}, {"retention.ms": Level.FAILURE}),
        ({"retention.ms": "-1"}, {"retention.ms": Level.FAILURE}),
        ({"retention.ms": "86399999"}, {"retention.ms": Level.WARNING}),
        ({"retention.bytes": "1000000"}, {"retention.bytes": Level.WARNING}),
    ],
)
def test_a_topic_keeps_entries_for_as_long_as_configured(
    settings: dict[str, str], expected: dict[str, Level]
) -> None:
    assert wrong(kafka.retention(GOOD | settings, 86_400_000)) == expected


@pytest.mark.parametrize(
    ("placed", "found", "level"),
    [
        ([Placed(3, 3, is_led=True)] * 2, "2, all in sync", Level.OK),
        (
            [Placed(3, 3, is_led=True), Placed(3, 2, is_led=True)],
            "1 of 2 have a replica out of sync",
            Level.WARNING,
        ),
        ([Placed(3, 1, is_led=True)] * 2, "2 of 2 are short of replicas", Level.FAILURE),
        (
            [Placed(3, 3, is_led=True), Placed(3, 0, is_led=False)],
            "1 of 2 have no leader",
            Level.FAILURE,
        ),
    ],
)
def test_partitions_are_well_where_they_are_led_and_in_sync(
    placed: list[Placed], found: str, level: Level
) -> None:
    finding = kafka.availability(topic(), placed)
    assert (finding.found, finding.level) == (found, level)


@pytest.mark.parametrize(
    ("settings", "protocol", "expected"),
    [
        ({}, "consumer", {}),
        (
            {"group.coordinator.rebalance.protocols": "classic"},
            "consumer",
            {"group protocols": Level.FAILURE},
        ),
        (
            {"socket.request.max.bytes": "1048576"},
            "classic",
            {"socket.request.max.bytes": Level.FAILURE},
        ),
        (
            {"auto.create.topics.enable": "true"},
            "classic",
            {"auto.create.topics.enable": Level.WARNING},
        ),
    ],
)
def test_one_broker_that_will_not_do_is_enough(
    settings: dict[str, str], protocol: str, expected: dict[str, Level]
) -> None:
    assert wrong(kafka.brokers_will_do([BROKER, BROKER | settings], protocol)) == expected


def test_brokers_below_four_tell_their_version() -> None:
    old = BROKER | {"inter.broker.protocol.version": "3.6-IV2"}
    findings = kafka.brokers_will_do([BROKER, old], "classic")
    assert next(findings).found == "3.6-IV2 or later, below 4.0 and 4.0 or later"


@pytest.mark.parametrize(
    ("hello", "found", "level"),
    [
        ({"msg": "isdbgrid"}, "a router (mongos) of a sharded cluster", Level.OK),
        ({"setName": "rs", "hosts": ["a:1", "b:1"]}, "the replica set rs of a:1, b:1", Level.OK),
        ({}, "a server by itself", Level.FAILURE),
    ],
)
def test_a_mongodb_is_a_replica_set_or_a_router(
    hello: dict[str, Any], found: str, level: Level
) -> None:
    finding = mongodb.kind(hello)
    assert (finding.found, finding.level) == (found, level)


@pytest.mark.parametrize(
    ("states", "majority", "voters", "level"),
    [
        ([1, 2, 2], 2, 3, Level.OK),
        ([1], 1, 1, Level.WARNING),
        ([1, 2, 8], 2, 3, Level.WARNING),
        ([1, 2, 7], 2, 2, Level.WARNING),
        ([1, 8, 8], 2, 3, Level.FAILURE),
    ],
)
def test_a_majority_of_members_has_to_be_up_and_one_more_had_better_be(
    states: list[int], majority: int, voters: int, level: Level
) -> None:
    status = {
        "members": [{"name": f"m{number}", "state": one} for number, one in enumerate(states)],
        "writeMajorityCount": majority,
        "writableVotingMembersCount": voters,
    }
    assert mongodb.members(status).level is level


@pytest.mark.parametrize(
    ("configuration", "level"),
    [
        ({}, Level.OK),
        ({"writeConcernMajorityJournalDefault": True}, Level.OK),
        ({"writeConcernMajorityJournalDefault": False}, Level.FAILURE),
    ],
)
def test_a_majority_acknowledges_from_its_disks(
    configuration: dict[str, Any], level: Level
) -> None:
    assert mongodb.journaling({"config": configuration}).level is level


@pytest.mark.parametrize(("release", "level"), [("5.0.31", Level.WARNING), ("10.0.1", Level.OK)])
def test_a_release_is_compared_by_its_numbers(release: str, level: Level) -> None:
    assert mongodb.version(release, None).level is level


def test_a_record_six_times_as_long_has_to_fit_in_a_document() -> None:
    hello = {"maxBsonObjectSize": 16_777_216}
    assert mongodb.size(hello, 2_796_202).level is Level.OK
    assert mongodb.size(hello, 2_796_203).level is Level.WARNING


def test_the_oplog_is_told_in_hours() -> None:
    finding = mongodb.oplog({"maxSize": 3 * 2**30}, Timestamp(1_000, 1), Timestamp(10_000, 7))
    assert finding == Finding("oplog", "2.5 hours in it; up to 3.0 GiB")


def found(data: Path, **settings: Any) -> dict[str, dict[str, Level]]:
    """What is not well of the settings and the embedded engines."""
    checked = asyncio.run(check(Configuration.read(data=data, **settings)))
    return {one.engine: wrong(one.findings) for one in checked}


def test_embedded_engines_pass_before_and_after_they_are_made(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert found(data) == {"settings": {}, "embedded": {}}
    assert list(tmp_path.iterdir()) == [], "nothing is made, nothing left behind"
    DataDirectory(data).release()
    assert found(data) == {"settings": {}, "embedded": {}}
    assert [one.name for one in data.iterdir()] == ["lock"]


def test_data_that_a_process_has_in_use_are_no_failure(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    try:
        expected = {"data directory": Level.WARNING}
        assert found(tmp_path) == {"settings": {}, "embedded": expected}
    finally:
        directory.release()


def test_a_place_that_cannot_be_written_to_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    expected = {"writing": Level.FAILURE}
    assert found(tmp_path / "file" / "data") == {"settings": {}, "embedded": expected}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"log_retention_ms": 1_000, "backlog_ms": 1_001}, {"retention": Level.FAILURE}),
        ({"idempotency_ms": 86_400_001}, {"retention": Level.WARNING}),
        ({"max_record_bytes": 1_048_577}, {"size limits": Level.WARNING}),
    ],
)
def test_settings_have_to_agree(
    settings: dict[str, int], expected: dict[str, Level], tmp_path: Path
) -> None:
    assert found(tmp_path, **settings) == {"settings": expected, "embedded": {}}


def test_a_secret_that_cannot_be_used_is_wrong_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_SECRET"):
        found(tmp_path, secret="short")
