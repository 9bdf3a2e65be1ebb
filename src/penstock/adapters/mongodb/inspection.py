"""What a MongoDB says of itself, and what that says about what the store can promise on it."""

from __future__ import annotations

from typing import Final

from bson.timestamp import Timestamp

from penstock.adapters.mongodb.connection import Document
from penstock.ports.check import Finding, failure, ok, warning

_PRIMARY: Final = 1
_SECONDARY: Final = 2
_ARBITER: Final = 7
_TESTED: Final = (6, 0)
_BSON_GROWTH: Final = 6
"""How many times as long as its JSON a record may be as BSON: an array of small numbers is."""
_GIB: Final = 1024**3


def kind(hello: Document) -> Finding:
    """What sort of server answers."""
    if hello.get("msg") == "isdbgrid":
        return ok("kind", "a router (mongos) of a sharded cluster")
    if "setName" in hello:
        return ok("kind", f"the replica set {hello['setName']} of {', '.join(hello['hosts'])}")
    problem = (
        "Reads cannot wait for a majority, nor follow one another: start it with --replSet and "
        "run rs.initiate(); one member will do."
    )
    return failure("kind", "a server by itself", problem)


def version(release: str, compatibility: str | None) -> Finding:
    """Of the server, and of the features that its data may use; None where it is not shown."""
    found = release if compatibility is None else f"{release}, features of {compatibility}"
    if tuple(int(one) for one in release.split(".")[:2]) < _TESTED:
        return warning("version", found, "Penstock was tested with 6.0 and later only.")
    return ok("version", found)


def size(hello: Document, record_bytes: int) -> Finding:
    """Whether the largest record fits in a document.

    Args:
        hello: what the server said.
        record_bytes: of the largest record, as canonical JSON.
    """
    most = int(hello["maxBsonObjectSize"])
    found = f"documents of up to {most} bytes"
    if record_bytes * _BSON_GROWTH > most:
        problem = (
            f"Some records are up to {_BSON_GROWTH} times as long here as their JSON, and would "
            f"be rejected: set PENSTOCK_MAX_RECORD_BYTES to {most // _BSON_GROWTH} or less."
        )
        return warning("size", found, problem)
    return ok("size", found)


def members(status: Document) -> Finding:
    """Whether a majority can write, and how many may fail until it cannot."""
    states = {str(one["name"]): int(one["state"]) for one in status["members"]}
    with_data = sum(state in (_PRIMARY, _SECONDARY) for state in states.values())
    away = [name for name, state in states.items() if state not in (_PRIMARY, _SECONDARY, _ARBITER)]
    majority, voters = int(status["writeMajorityCount"]), int(status["writableVotingMembersCount"])
    found = f"{with_data} of {voters} with data are up; a write needs {majority}"
    if with_data < majority:
        return failure("members", found, f"No write ends: bring {', '.join(away)} back.")
    if voters == 1:
        problem = "An acknowledged write is on one machine only, and is lost with its disk."
        return warning("members", found, f"{problem} Use three members.")
    if away:
        problem = f"Not up: {', '.join(away)}. One more member lost may stop writes."
        return warning("members", found, problem)
    if voters == majority:
        problem = "Each member that is down stops writes: have three with data, and no arbiter."
        return warning("members", found, problem)
    return ok("members", found)


def journaling(configuration: Document) -> Finding:
    """Whether a write that a majority has acknowledged is on its disks."""
    subject = "writeConcernMajorityJournalDefault"
    if configuration["config"].get(subject, True):
        return ok(subject, "true")
    problem = "An acknowledged write may be lost in a power cut: set it to true by rs.reconfig()."
    return failure(subject, "false", problem)


def oplog(statistics: Document, first: Timestamp, last: Timestamp) -> Finding:
    """For how long a member may be away, and still catch up.

    Args:
        statistics: of the oplog's collection.
        first: of the oldest entry.
        last: of the newest.
    """
    hours = (last.time - first.time) / 3600
    most = int(statistics["maxSize"]) / _GIB
    return ok("oplog", f"{hours:.1f} hours in it; up to {most:.1f} GiB")
