"""More partitions: a new generation, begun when the one before it has its end.

The steps, each of which may be repeated after a crash:

1. The new topic is created, and takes nothing.
2. The old topic is sealed; each of its partitions is asked until its leader refuses an entry, and
   then has the mark of its end appended. Nothing can come behind that, whoever was paused where.
3. The new topic is opened. Who appends finds it when the old one refuses; workers begin with it
   when every partition of the old one is applied to its mark.

Writes wait between the first refusal and the opening, and not for what is still to be applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from confluent_kafka import Message, Producer
from confluent_kafka.cimpl import KafkaError

from penstock.adapters.kafka.cluster import Cluster, Settings, unavailable
from penstock.adapters.kafka.end import END
from penstock.adapters.kafka.generations import Generation, Generations
from penstock.adapters.kafka.message import headers_of
from penstock.errors import ConfigurationError
from penstock.records.operation import Kind, Operation

_FLUSH_S: Final = 30.0
_MOST_PROBES: Final = 10_000
_PROBE: Final = Operation(int(Kind.DELETE), "", "", "", "probe")
"""Where a partition still takes it, an entry of no collection: nothing comes of it."""


class Growing:
    """Gives a log more partitions.

    Args:
        settings: of the cluster.
        name: of the log.
        tell: is told each step, for a person who watches.
    """

    def __init__(self, settings: Settings, name: str, tell: Callable[[str], None]) -> None:
        self._generations = Generations(Cluster(settings), name)
        self._producer = Producer({**settings, "acks": "all", "linger.ms": 0})
        self._tell = tell

    def generations(self) -> list[Generation]:
        """Those there are. Raises `ConfigurationError`, `Unavailable`."""
        self._generations.find()
        return self._generations.all

    def create(self, partitions: int, retention_ms: int) -> None:
        """Create the first of them, where there is none; no harm where there is.

        Raises `ConfigurationError` for one that exists and would not do, `Unavailable`.
        """
        self._generations.open(partitions, retention_ms)

    def grow(self, partitions: int) -> Generation:
        """Begin a generation of so many partitions; returns it.

        Raises `ConfigurationError` for what cannot be, `Unavailable` where the cluster does not
        answer: the same call then goes on from where this one ended.
        """
        old, new = self._prepared(partitions)
        self._tell(f"{new.topic.name} is there, with {partitions} partitions, and takes nothing")
        # A connection to every leader first: writes are to wait for as little as possible.
        self._producer.list_topics(old.topic.name, timeout=_FLUSH_S)
        self._generations.seal(old)
        for number in range(old.topic.partitions):
            self._until_refused(old, number)
        self._end(old)
        self._generations.begin(new)
        self._tell(f"{old.topic.name} is sealed; {new.topic.name} takes the entries from now on")
        return new

    def _prepared(self, partitions: int) -> tuple[Generation, Generation]:
        """The generation to be left and the new one, which an earlier attempt may have made."""
        known = self.generations()
        if not known:
            raise ConfigurationError("There is no log of this name: nothing has written to it yet.")
        last = known[-1]
        if last.is_begun:
            if partitions <= last.topic.partitions:
                raise ConfigurationError(
                    f"The log has {last.topic.partitions} partitions already; give more."
                )
            return last, self._generations.prepare(partitions)
        if partitions != last.topic.partitions:
            raise ConfigurationError(
                f"Growing to {last.topic.partitions} partitions was begun and has to be finished "
                "first: give that number."
            )
        return known[-2], last

    def _until_refused(self, old: Generation, number: int) -> None:
        """Return when the leader of a partition takes no entry any more."""
        for _ in range(_MOST_PROBES):
            (error,) = self._append(old, [number], b"", probe=True)
            if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                return
            if error is not None:
                raise unavailable(error)
        raise unavailable(f"{old.topic.name} still takes entries, though it was sealed")

    def _end(self, old: Generation) -> None:
        numbers = range(old.topic.partitions)
        for error in self._append(old, numbers, END, probe=False):
            if error is not None:
                raise unavailable(error)

    def _append(
        self, old: Generation, numbers: Iterable[int], value: bytes, *, probe: bool
    ) -> list[KafkaError | None]:
        """Append a message to each of these partitions; what came of it, in no order."""
        answers: list[KafkaError | None] = []
        numbers = list(numbers)

        def delivered(error: KafkaError | None, message: Message) -> None:
            del message
            answers.append(error)

        for number in numbers:
            self._producer.produce(
                old.topic.name,
                value,
                _PROBE.key.encode() if probe else None,
                number,
                delivered,
                headers=headers_of(_PROBE) if probe else None,
            )
        if self._producer.flush(_FLUSH_S):
            raise unavailable(f"{old.topic.name} does not answer")
        return answers
