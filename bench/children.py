"""Server processes on one core each: what they cost, and pauses, to keep them out of the way."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_STOP_S: Final = 30
_START_S: Final = 90
_KIB_IN_MIB: Final = 1024


class Child:
    """A process that dies with this one, on cores of its own from its first moment.

    Args:
        name: of its log.
        command: starts it; it stays in the foreground.
        folder: for its log, `<name>.log`.
        cores: where it runs, with all its threads and children.
        environment: beside our own.
        says: what a line of its output has when it is ready. Where the line has an address too,
            `host` and `port` are it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        cores: Collection[int],
        environment: Mapping[str, str],
        says: str = "http://",
    ) -> None:
        self.log = folder / f"{name}.log"
        self._name = name
        pinned = ["taskset", "--cpu-list", _listed(cores), "setpriv", "--pdeathsig", "KILL"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*pinned, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | environment,
            )
        line = self._await(says)
        self.host, self.port = "", 0
        if "http://" in line:
            host, _, port = line.split("http://")[1].split()[0].rstrip("/.,)").partition(":")
            self.host, self.port = host, int(port)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def cpu_s(self) -> float:
        """Of it and its children that live, so far."""
        return sum(_cpu_s(pid) for pid in self._family())

    @property
    def resident_mib(self) -> float:
        """Of it and its children, now."""
        return sum(_resident_mib(pid) for pid in self._family())

    def move(self, cores: Collection[int]) -> None:
        for pid in self._family():
            command = ["taskset", "--all-tasks", "--cpu-list", "--pid", _listed(cores), str(pid)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def pause(self) -> None:
        for pid in self._family():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self._family():
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        if self._process.poll() is None:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_STOP_S)

    def _family(self) -> list[int]:
        found, new = [self.pid], [self.pid]
        while new:
            pid = new.pop()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            new += [int(one) for one in children]
            found += [int(one) for one in children]
        return found

    def _await(self, says: str) -> str:
        """The line that has it. Raises `AssertionError` with its log."""
        until = time.monotonic() + _START_S
        while time.monotonic() < until and self._process.poll() is None:
            for line in self.log.read_text(errors="replace").splitlines():
                if says in line:
                    return line
            time.sleep(0.05)
        tail = self.log.read_text(errors="replace")[-3000:]
        raise AssertionError(f"{self._name} did not say {says!r}:\n{tail}")


@contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """This thread, and those that it starts meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _listed(cores: Collection[int]) -> str:
    return ",".join(map(str, cores))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / _KIB_IN_MIB
