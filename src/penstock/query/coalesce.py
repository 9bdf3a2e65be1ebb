"""Many asks in one turn of the event loop, one load."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Coalescer(Generic[K, V]):
    """Gathers the keys asked for in one turn of the loop, each once, and loads them together.

    Args:
        load: answers every key it is given, by a deadline (monotonic seconds); what it raises
            reaches all who asked.
        most: keys in one load at most.
    """

    def __init__(
        self, load: Callable[[Sequence[K], float], Awaitable[Mapping[K, V]]], most: int
    ) -> None:
        self._load = load
        self._most = most
        self._until = 0.0
        self._waiting: dict[K, list[asyncio.Future[V]]] = {}
        self._loads: set[asyncio.Task[None]] = set()

    def get(self, key: K, deadline: float) -> asyncio.Future[V]:
        """The value of a key, in time. Giving up on it harms no one else who waits for it.

        A load has the latest deadline (monotonic seconds) of all who asked: one in a hurry must not
        take the answer from the others, and minds its own deadline.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            self._until = deadline
            loop.call_soon(self._begin)
        elif deadline > self._until:
            self._until = deadline
        future: asyncio.Future[V] = loop.create_future()
        waiters = self._waiting.get(key)
        if waiters is None:
            self._waiting[key] = [future]
        else:
            waiters.append(future)
        return future

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, {}
        keys = list(waiting)
        for start in range(0, len(keys), self._most):
            part = keys[start : start + self._most]
            asked = {key: waiting[key] for key in part}
            task = asyncio.ensure_future(self._run(asked, self._until))
            self._loads.add(task)
            task.add_done_callback(self._loads.discard)

    async def _run(self, waiting: Mapping[K, list[asyncio.Future[V]]], deadline: float) -> None:
        try:
            values = await self._load(list(waiting), deadline)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the askers' to handle
            for futures in waiting.values():
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
            return
        for key, futures in waiting.items():
            value = values[key]
            for future in futures:
                if not future.done():
                    future.set_result(value)
