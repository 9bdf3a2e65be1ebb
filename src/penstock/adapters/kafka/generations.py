"""The generations of the log: a topic each, of which one takes entries.

What a generation's topic takes is decided by the brokers, by its largest message: the size of an
entry where it is open; nothing where it is not begun; too little for any entry, and enough for the
mark at its end, where it is sealed. So no process that was stopped or has not heard of it can
append to a generation that was left, nor to one whose predecessor still takes entries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from penstock.adapters.kafka.cluster import Cluster, Topic
from penstock.errors import ConfigurationError, LogDiverged

MESSAGE_BYTES: Final = 2 * 1024 * 1024
SEALED_BYTES: Final = 100
"""An entry's headers alone are larger; `end.py` has the mark that is smaller."""
LARGEST: Final = "max.message.bytes"

MOST_REPLICAS: Final = 3
_REQUIRED: Final = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete"}
_KEPT: Final = ("retention.ms", "segment.ms", "min.insync.replicas")
_SEGMENT_MS: Final = 3_600_000
"""A segment is removed when its last entry is old enough: a small one, soon after its first."""


class Generation(NamedTuple):
    """One of them.

    Attributes:
        number: from 1.
        topic: as it was described last.
    """

    number: int
    topic: Topic

    @property
    def largest(self) -> int:
        return int(self.topic.settings[LARGEST])

    @property
    def is_begun(self) -> bool:
        """Whether it takes entries, or once did."""
        return self.largest > 0

    @property
    def is_open(self) -> bool:
        """Whether it takes entries."""
        return self.largest >= MESSAGE_BYTES

    @property
    def state(self) -> str:
        if self.is_open:
            return "open"
        return "sealed" if self.is_begun else "not begun"


class Generations:
    """All of them, as they were seen at the last `refresh`. What asks the cluster blocks."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self._name = name
        self._known: Mapping[int, Generation] = {}

    @property
    def pattern(self) -> str:
        """Of the topics, as a regular expression."""
        return rf"^{re.escape(self._name)}\.g[1-9][0-9]*$"

    @property
    def all(self) -> list[Generation]:
        return list(self._known.values())

    @property
    def current(self) -> Generation | None:
        """The one that takes entries; None while the log is being grown."""
        return next((one for one in reversed(self.all) if one.is_open), None)

    def get(self, number: int) -> Generation | None:
        return self._known.get(number)

    def topic_of(self, number: int) -> str:
        return f"{self._name}.g{number}"

    def number_of(self, topic: str) -> int:
        return int(topic.rpartition(".g")[2])

    def open(self, partitions: int, retention_ms: int) -> None:
        """See which there are, and create the first where there is none.

        Raises `ConfigurationError` for a topic that would not do.
        """
        self.find()
        if not self._known:
            self._keep([self._create_first(partitions, retention_ms)])
            for one in self.all:
                _check(one)

    def find(self) -> None:
        """See which there are. Raises `ConfigurationError` for a topic that would not do."""
        pattern = re.compile(self.pattern)
        self._see([name for name in self._cluster.names() if pattern.match(name)])
        for one in self.all:
            _check(one)

    def refresh(self) -> None:
        """See how they stand now, and whether there is another one.

        Raises `LogDiverged` where one is not the topic that it was, `Unavailable`.
        """
        self._see([one.topic.name for one in self.all] + [self.topic_of(self.all[-1].number + 1)])

    def _see(self, names: Sequence[str]) -> None:
        self._keep(self._cluster.topics(names))

    def _keep(self, topics: Sequence[Topic]) -> None:
        found = [Generation(self.number_of(one.name), one) for one in topics]
        for one in found:
            known = self._known.get(one.number)
            if known is not None and known.topic.identity != one.topic.identity:
                raise LogDiverged(f"The topic {one.topic.name} was deleted and created anew.")
        # One that is not listed for the moment is not gone, for all we know.
        self._known = dict(sorted({**self._known, **{one.number: one for one in found}}.items()))

    def prepare(self, partitions: int) -> Generation:
        """The generation after the current one, created with its settings, and not begun."""
        last = self.all[-1]
        settings = {name: last.topic.settings[name] for name in _KEPT}
        settings |= {**_REQUIRED, LARGEST: "0"}
        topic = self.topic_of(last.number + 1)
        self._keep([self._cluster.create(topic, partitions, last.topic.replicas, settings)])
        return self._known[last.number + 1]

    def seal(self, generation: Generation) -> None:
        """Let it take nothing but the mark of its end, soon."""
        self._cluster.set(generation.topic.name, LARGEST, str(SEALED_BYTES))

    def begin(self, generation: Generation) -> None:
        """Let it take entries: its predecessor has to have its end everywhere."""
        self._cluster.set(generation.topic.name, LARGEST, str(MESSAGE_BYTES))

    def _create_first(self, partitions: int, retention_ms: int) -> Topic:
        replicas = min(self._cluster.brokers(), MOST_REPLICAS)
        settings = {
            **_REQUIRED,
            "min.insync.replicas": str(max(replicas - 1, 1)),
            "retention.ms": str(retention_ms),
            "segment.ms": str(min(_SEGMENT_MS, retention_ms)),
            LARGEST: str(MESSAGE_BYTES),
        }
        return self._cluster.create(self.topic_of(1), partitions, replicas, settings)


def _check(generation: Generation) -> None:
    settings = generation.topic.settings
    wrong = [
        f"{name} is {settings[name]}, and must be {value}"
        for name, value in _REQUIRED.items()
        if settings[name] != value
    ]
    if not generation.is_open and generation.largest not in (0, SEALED_BYTES):
        wrong.append(f"{LARGEST} must be at least {MESSAGE_BYTES}")
    if wrong:
        raise ConfigurationError(
            f"The topic {generation.topic.name} will not do: {'; '.join(wrong)}."
        )
