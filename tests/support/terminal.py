"""The command line as a person types it, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.server import Server


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal:
    """Where commands are typed: a folder, and a server's address and key in the environment."""

    def __init__(self, folder: Path, url: str, key: str = Server.KEY) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if "PENSTOCK" not in name},
            "PENSTOCK_URL": url,
            "PENSTOCK_KEY": key,
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "penstock.cli", *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str, stdin: bytes | None = None) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "penstock.cli", *words],
            cwd=self.folder,
            env=self.environment,
            input=b"" if stdin is None else stdin,
            capture_output=True,
            check=False,
            timeout=120,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def await_batches(ledger: Path, batches: int, running: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if ledger.exists() and json.loads(ledger.read_text())["batches"] >= batches:
            return
        assert running.poll() is None, running.communicate()
        time.sleep(0.005)
    raise AssertionError("the import does not get on")
