"""Appending to the generation that takes entries, and following when another one does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
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

_log = logger("log")


class Appending:
    """Appends. A thread of its own looks at the generations, now and then or when one is sealed.

    Args:
        settings: of the cluster.
        generations: as they were opened.
        timeout_ms: after which an append is given up, its outcome unknown.
        clock: for deadlines.
    """

    def __init__(
        self, settings: Settings, generations: Generations, timeout_ms: int, clock: Clock
    ) -> None:
        self._settings = settings
        self._generations = generations
        self._timeout_ms = timeout_ms
        self._clock = clock
        self._appender: Appender | None = None
        self._left: list[Appender] = []
        self._refusal: str | None = None
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._closed = False
        self._switch(generations.current)
        self._thread = threading.Thread(target=self._watch, name="kafka-generations", daemon=True)
        self._thread.start()

    async def append(self, operations: Sequence[Operation], deadline: float) -> list[Appended]:
        """One answer per operation, in their order; see `ports.log.Log.append`."""
        answers: list[Appended] = [Sealed()] * len(operations)
        places: Sequence[int] = range(len(operations))
        while True:
            appender = self._appender
            if appender is not None and self._refusal is None:
                asked = operations if len(places) == len(operations) else _of(operations, places)
                for place, answer in zip(places, await appender.append(asked), strict=True):
                    answers[place] = answer
                places = [place for place in places if isinstance(answers[place], Sealed)]
                if not places:
                    return answers
            if self._refusal is not None or not await self._moved(appender, deadline):
                reason = self._refusal or "no generation takes entries: is the log being grown?"
                for place in places:
                    answers[place] = unavailable(reason)
                return answers

    def close(self) -> None:
        """Wait for what is under way, and end. Blocks."""
        self._closed = True
        self._wanted.set()
        self._thread.join()
        if self._appender is not None:
            self._appender.close()
        for appender in self._left:
            appender.close()

    async def _moved(self, appender: Appender | None, deadline: float) -> bool:
        """Wait until another appender is in the place of this one; False where it was too late."""
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._appender is not appender:
                return True
            self._waiting[future] = asyncio.get_running_loop()
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
            if self._closed:
                return
            try:
                self._generations.refresh()
            except Unavailable:
                self._wanted.clear()
                continue
            except LogDiverged as error:
                _log.critical("log_replaced", reason=error.internal)
                self._refusal = error.internal
                self._wake()
                return
            self._follow()

    def _follow(self) -> None:
        current = self._generations.current
        here = self._appender
        if current is not None and (here is None or here.generation.number < current.number):
            self._switch(current)
            self._wanted.clear()
            self._wake()
            _log.info("generation_begun", topic=current.topic.name)
        elif self._waiting:
            # Somebody waits for a generation that is about to begin.
            threading.Event().wait(_AGAIN_S)
        else:
            self._wanted.clear()

    def _switch(self, generation: Generation | None) -> None:
        if generation is None:
            return
        if self._appender is not None:
            # It still has answers to give; its end is waited for when all is closed.
            self._left.append(self._appender)
        fresh = Appender(self._settings, generation, self._timeout_ms)
        with self._lock:
            self._appender = fresh

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for future, loop in waiting.items():
            # A loop that has ended has no one left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, future)


def _of(operations: Sequence[Operation], places: Sequence[int]) -> list[Operation]:
    return [operations[place] for place in places]


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
