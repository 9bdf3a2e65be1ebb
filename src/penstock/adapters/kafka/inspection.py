"""What the descriptions of brokers and topics say about what the log can promise on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from penstock.adapters.kafka.cluster import Topic
from penstock.adapters.kafka.generations import MESSAGE_BYTES
from penstock.ports.check import Finding, failure, ok, warning

_FOREVER: Final = -1
_AUTO_CREATE: Final = "auto.create.topics.enable"
_REQUEST: Final = "socket.request.max.bytes"


class Placed(NamedTuple):
    """Where a partition of a topic is.

    Attributes:
        replicas: on how many brokers it is to be.
        in_sync: on how many of them it is, up to date.
        is_led: whether a broker leads it: without one, it can neither be written nor read.
    """

    replicas: int
    in_sync: int
    is_led: bool


def brokers_will_do(brokers: Sequence[Mapping[str, str]], protocol: str) -> Iterator[Finding]:
    """What the brokers' own settings say.

    Args:
        brokers: the settings of each.
        protocol: of the group of workers, as configured.
    """
    yield ok("version", " and ".join(sorted({_version(one) for one in brokers})))
    yield _group_protocol(brokers, protocol)
    yield _size(brokers)
    if any(one.get(_AUTO_CREATE) == "true" for one in brokers):
        yield warning(
            _AUTO_CREATE,
            "true",
            "A topic of the log that is deleted comes back by itself, empty and with other "
            "settings: switch it off.",
        )


def _version(settings: Mapping[str, str]) -> str:
    """Brokers tell clients no version: but this setting went with 4.0."""
    before_four = settings.get("inter.broker.protocol.version")
    return "4.0 or later" if before_four is None else f"{before_four} or later, below 4.0"


def _group_protocol(brokers: Sequence[Mapping[str, str]], protocol: str) -> Finding:
    offered = {one.get("group.coordinator.rebalance.protocols", "classic") for one in brokers}
    found = " and ".join(sorted(offered))
    if all(protocol in one.split(",") for one in offered):
        return ok("group protocols", found)
    problem = f"PENSTOCK_LOG_GROUP_PROTOCOL is {protocol}: set it to classic."
    return failure("group protocols", found, problem)


def _size(brokers: Sequence[Mapping[str, str]]) -> Finding:
    sizes = [int(one[_REQUEST]) for one in brokers if _REQUEST in one]
    least = min(sizes, default=MESSAGE_BYTES)
    if least < MESSAGE_BYTES:
        problem = f"Entries may have {MESSAGE_BYTES} bytes: set it higher than that."
        return failure(_REQUEST, str(least), problem)
    return ok(_REQUEST, str(least))


def availability(topic: Topic, placed: Sequence[Placed]) -> Finding:
    """Whether the partitions can be read, and appended to."""
    subject = f"partitions of {topic.name}"
    leaderless = sum(not one.is_led for one in placed)
    least = int(topic.settings["min.insync.replicas"])
    short = sum(one.in_sync < min(least, one.replicas) for one in placed)
    behind = sum(one.in_sync < one.replicas for one in placed)
    count = len(placed)
    if leaderless:
        problem = "They can be neither read nor written: bring their brokers back."
        return failure(subject, f"{leaderless} of {count} have no leader", problem)
    if short:
        problem = (
            f"They refuse writes, for fewer than min.insync.replicas={least} brokers have them: "
            "bring the others back."
        )
        return failure(subject, f"{short} of {count} are short of replicas", problem)
    if behind:
        problem = "One more broker lost may stop writes: see which one is down or slow."
        return warning(subject, f"{behind} of {count} have a replica out of sync", problem)
    return ok(subject, f"{count}, all in sync")


def durability(topic: Topic) -> Iterator[Finding]:
    """On how many brokers' disks an acknowledged write is, and whether it stays there."""
    replicas, least = topic.replicas, int(topic.settings["min.insync.replicas"])
    if replicas == 1:
        yield warning(
            "replication factor",
            "1",
            "An acknowledged write is on one broker only, and is lost with its disk: use three.",
        )
    else:
        yield ok("replication factor", str(replicas))
    yield _in_sync(replicas, least)
    if topic.settings["unclean.leader.election.enable"] == "true":
        yield failure(
            "unclean.leader.election.enable",
            "true",
            "A broker that lacks acknowledged writes may become the leader, and they are lost: "
            f"set it to false for {topic.name}.",
        )
    else:
        yield ok("unclean.leader.election.enable", "false")


def _in_sync(replicas: int, least: int) -> Finding:
    subject, found = "min.insync.replicas", str(least)
    if least > replicas:
        # Brokers of 4.1 take it for the number of replicas: whether writes pass shows in the trial.
        problem = (
            f"There are {replicas} replicas: some brokers refuse every write then, others while "
            f"one of them is down. Set it to {max(replicas - 1, 1)}."
        )
        return warning(subject, found, problem)
    if replicas == 1:
        return ok(subject, found)
    if least == 1:
        problem = (
            "While the others are down, an acknowledged write is on one broker only: "
            f"set it to {replicas - 1}."
        )
        return warning(subject, found, problem)
    if least == replicas:
        problem = f"Each broker that is down stops writes: set it to {replicas - 1}."
        return warning(subject, found, problem)
    return ok(subject, found)


def retention(settings: Mapping[str, str], configured_ms: int) -> Iterator[Finding]:
    """Whether entries stay until they are applied, and no longer than what is kept of deletions."""
    kept_ms = int(settings["retention.ms"])
    found = "for ever" if kept_ms == _FOREVER else f"{kept_ms} ms"
    if kept_ms == _FOREVER or kept_ms > configured_ms:
        yield failure(
            "retention.ms",
            found,
            f"PENSTOCK_LOG_RETENTION_MS is {configured_ms}: the tombstones of deleted records go "
            "before the log's entries do, so that reading it anew could bring them back. "
            "Make the two the same.",
        )
    elif kept_ms < configured_ms:
        yield warning(
            "retention.ms",
            found,
            f"PENSTOCK_LOG_RETENTION_MS is {configured_ms}: workers that are behind by more than "
            "the topic keeps stop, since entries are lost to them. Make the two the same.",
        )
    else:
        yield ok("retention.ms", found)
    kept_bytes = int(settings["retention.bytes"])
    if kept_bytes != _FOREVER:
        yield warning(
            "retention.bytes",
            str(kept_bytes),
            "A burst may push entries out before they are applied; workers then stop, since they "
            "are lost to them. Set it to -1.",
        )
