"""A real server process, to be asked, killed and started again."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from hashlib import blake2b
from pathlib import Path
from typing import Final

_START_S: Final = 30


class Server:
    """`penstock serve`, or a role, on a data directory that outlives it, and a port that it keeps.

    Where the environment names engines, it has a log and a database of its own there, as it has a
    data directory of its own. Its output is `<data>.log`, written on over restarts. Where the test
    process dies, it dies too. With PENSTOCK_TLS_CERT, `context` has to say whom to trust.
    """

    KEY: Final = "test-0123456789abcdef"

    def __init__(self, data: Path, role: str = "serve", port: str = "0", **settings: str) -> None:
        self.context: ssl.SSLContext | None = None
        self._role = role
        self.data = data
        self.log = data.with_name(f"{data.name}.log")
        name = own_name(data)
        self._settings = {
            "PENSTOCK_ADMIN_KEY": self.KEY,
            "PENSTOCK_LOG_NAME": name,
            "PENSTOCK_STORE_NAME": name,
            **settings,
        }
        self._process: subprocess.Popen[str] | None = None
        self._url = ""
        self._port = port

    @property
    def url(self) -> str:
        """Where it listens, once it has been started."""
        return self._url

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, module: str = "penstock.cli") -> None:
        """Start it, and wait until it is ready."""
        self.launch(module)
        self.await_ready()

    def launch(self, module: str = "penstock.cli") -> None:
        """Start it."""
        environment = os.environ | self._settings
        command = [sys.executable, "-m", module, self._role, "--port", self._port]
        if self._role in ("serve", "api"):
            command += ["--data", str(self.data)]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
            )

    def await_ready(self) -> None:
        """Wait until it is, after `launch`."""
        self._url = self._announced()
        self._port = self._url.rpartition(":")[2]
        self._await_ready()

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        self._reap()

    def stop(self) -> None:
        """SIGTERM; it has to leave by itself, with exit code 0."""
        self.terminate()
        self.await_end()

    def terminate(self) -> None:
        """SIGTERM."""
        os.kill(self.pid, signal.SIGTERM)

    def await_end(self) -> None:
        """Wait until it has left by itself, with exit code 0."""
        assert self._process is not None
        code = self._process.wait(_START_S)
        self._reap()
        assert code == 0, f"exit code {code}; see {self.log}:\n{self.log.read_text()[-2000:]}"

    def close(self) -> None:
        """Make sure that it is gone, however the test went."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self.kill()
        else:
            self._reap()

    def _reap(self) -> None:
        assert self._process is not None
        self._process.wait(_START_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _announced(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = re.search(r"https?://[^\s,]+", line)
            if found:
                return found[0].rstrip("/.,")
        raise AssertionError(f"it did not start; see {self.log}:\n{self.log.read_text()[-2000:]}")

    def _await_ready(self) -> None:
        until = time.monotonic() + _START_S
        while True:
            try:
                urllib.request.urlopen(
                    f"{self._url}/readyz", timeout=5, context=self.context
                ).close()
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return


def own_name(data: Path) -> str:
    """Of a log and a database that belong to a data directory."""
    return f"test-{blake2b(str(data).encode(), digest_size=8).hexdigest()}"
