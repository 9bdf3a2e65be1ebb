"""One server process that can be killed, paused and started again, on a port that it keeps."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_STOP_S: Final = 20
_START_S: Final = 90
_LOOK_EVERY_S: Final = 0.05
_PROCESS: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PROCESSES: Final = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_PORTS: Final = range(10_000 + _PROCESS, 22_000, _PROCESSES)
"""Below those of outgoing connections, as is the bus of a Redis Cluster, ten thousand above; no
other process of the same run of tests has any of them."""


class Node:
    """A process of a server.

    Args:
        name: for messages, and of its log.
        command: starts it; it stays in the foreground.
        folder: for its log, `<name>.log`.
        environment: beside our own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        # Where this process dies, however it does, so do its servers.
        self._command = ["setpriv", "--pdeathsig", "KILL", *command]
        self._environment = os.environ | (environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; whether it is ready is another question, see `until`."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM; SIGKILL where that does not help."""
        self._end(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """Wait until it has ended by itself; its exit code, or the number of a signal, negative."""
        assert self._process is not None
        return self._process.wait(seconds)

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until `ready`, while the process lives. Raises `AssertionError` with its log."""
        until = time.monotonic() + _START_S
        while not ready():
            if not self.alive or time.monotonic() > until:
                tail = self.log.read_text(errors="replace")[-3000:]
                raise AssertionError(f"{self.name}: {what} did not come about; {self.log}:\n{tail}")
            time.sleep(_LOOK_EVERY_S)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        if number is not signal.SIGKILL:
            # One that is paused takes no other signal.
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_S)


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at the moment and that no connection is given meanwhile.

    A port that the system chooses is one of those it also gives to outgoing connections, so that a
    server that is started (again) on it may find it taken.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free port is left")
