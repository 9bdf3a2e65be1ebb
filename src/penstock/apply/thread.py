"""A worker on a thread of its own, beside the API of the same process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from penstock.telemetry.logs import logger

Work = Callable[[asyncio.Event], Coroutine[Any, Any, None]]

_log = logger("worker")


class WorkerThread:
    """Runs a worker until it is stopped, and says so where it ends by itself.

    Args:
        work: what it runs, until the event that it is handed is set.
        new_loop: makes the thread's event loop.
    """

    def __init__(self, work: Work, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._work = work
        self._loop = new_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._tell: Callable[[], object] = lambda: None
        self.failure: BaseException | None = None

    def start(self, caller: asyncio.AbstractEventLoop, on_failure: Callable[[], object]) -> None:
        """Begin; `on_failure` is called on the caller's loop, should the worker fail."""
        self._tell = lambda: caller.call_soon_threadsafe(on_failure)
        self._thread.start()

    def stop(self) -> None:
        """Let it finish what it has in hand, and wait for its end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    async def trouble(self) -> str | None:
        """Why writes would not be applied; None where they are."""
        if self.failure is not None:
            return f"The worker has stopped: {self.failure}"
        return None if self._thread.is_alive() else "The worker is not running."

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._work(self._stop))
        except BaseException as error:  # noqa: BLE001  # a thread's end must not go unnoticed
            self.failure = error
            _log.critical("worker_failed", reason=str(error), exc_info=error)
            self._tell()
        finally:
            self._loop.close()
