"""Appending to the generation that takes entries, and following when another one does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from penstock.adapters.kafka.cluster import Settings, unavailable
from penstock.adapters.kafka.generations import Generation, Generations
from penstock.adapters.kafka.producer import Appender, Sealed
from penstock.errors import LogDiverged, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.log import Appended
from penstock.records.operation import Operation
from penstock.telemetry.logs import logger

_LOOK_S: Final = 1.0
_AGAIN_S: Final = 0.02
_SEALED: Final = Sealed()
"""Stands where an answer will be."""

_log = logger("log")


class Appending:
    """Appends. A thread of its own looks at the generations, now and then or when one is sealed.

    Args:
        settings: of the cluster.
        generations: as they were opened.
        timeout_ms: after which an append is given up, its outcome unknown.
        clock: for deadlines.
        appended: see `log.KafkaLog`.
    """

    def __init__(
        self,
        settings: Settings,
        generations: Generations,
        timeout_ms: int,
        clock: Clock,
        appended: Callable[[int], None],
    ) -> None:
        self._generations = generations
        self._clock = clock
        self._appender = Appender(settings, timeout_ms, clock, appended)
        self._generation = generations.current
        self._refusal: str | None = None
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="kafka-generations", daemon=True)
        self._thread.start()

    async def append(self, operations: Sequence[Operation], deadline: float) -> list[Appended]:
        """One answer per operation, in their order; see `ports.log.Log.append`."""
        answers: list[Appended] = [_SEALED] * len(operations)
        places: Sequence[int] = range(len(operations))
        while True:
            generation = self._generation
            if generation is not None and self._refusal is None:
                asked = [operations[place] for place in places]
                given = await self._appender.append(asked, generation)
                for place, answer in zip(places, given, strict=True):
                    answers[place] = answer
                places = [place for place in places if isinstance(answers[place], Sealed)]
                if not places:
                    return answers
            if not await self._moved(generation, deadline):
                reason = self._refusal or "no generation takes entries: is the log being grown?"
                for place in places:
                    answers[place] = unavailable(reason)
                return answers

    def close(self) -> None:
        """Wait for what is under way, and end. Blocks."""
        self._closed.set()
        self._wanted.set()
        self._thread.join()
        self._appender.close()

    async def _moved(self, generation: Generation | None, deadline: float) -> bool:
        """Wait for another generation than this one; False where none came in time."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._refusal is not None:
                return False
            if self._generation is not generation:
                return True
            self._waiting[future] = loop
        self._wanted.set()
        try:
            async with asyncio.timeout(deadline - self._clock.monotonic()):
                await future
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiting.pop(future, None)
        return self._refusal is None

    # On the thread.

    def _watch(self) -> None:
        while True:
            self._wanted.wait(_LOOK_S)
            if self._closed.is_set():
                return
            try:
                self._generations.refresh()
            except Unavailable:
                self._closed.wait(_AGAIN_S)
            except LogDiverged as error:
                _log.critical("log_replaced", reason=error.internal)
                self._wake(self._generation, error.internal)
                return
            else:
                self._follow()

    def _follow(self) -> None:
        current, here = self._generations.current, self._generation
        if current is not None and (here is None or here.number < current.number):
            self._wanted.clear()
            self._wake(current, None)
            _log.info("generation_begun", topic=current.topic.name)
        elif self._waiting:
            # Somebody waits for a generation that is about to begin.
            self._closed.wait(_AGAIN_S)
        else:
            self._wanted.clear()

    def _wake(self, generation: Generation | None, refusal: str | None) -> None:
        """Tell those who wait what is new."""
        with self._lock:
            self._generation, self._refusal = generation, refusal
            waiting, self._waiting = self._waiting, {}
        for future, loop in waiting.items():
            # A loop that has ended has no one left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
