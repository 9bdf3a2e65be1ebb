"""The embedded engines in a process that is killed, or is given no more room by the system."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from tests.contract.logs import append, everything, operation

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.directory import DataDirectory
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.embedded.log import EmbeddedLog
from penstock.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
APPENDING = [sys.executable, "-m", "tests.faults.appending"]


@contextmanager
def child(command: Sequence[str | Path]) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the test."""
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(lines: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """What was given, data by position; and what was refused, code by data."""
    words = [line.split() for line in lines]
    given = {where: data for kind, where, data in words if kind == "given"}
    refused = {data: code for kind, code, data in words if kind == "refused"}
    assert len(given) + len(refused) == len(lines)
    return given, refused


async def held(path: Path, at_least: int) -> dict[str, str]:
    """What the log holds, data by position; it must be whole, and go on to higher positions."""
    log = EmbeddedLog(path, SystemClock(), SystemEntropy())
    entries = await everything(log, at_least)
    (last,) = await append(log, [operation(data=b"opened-%d" % len(entries))])
    assert last > entries[-1].position
    await log.close()
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()
    found = {str(one.position): one.operation.data.decode().strip() for one in entries}
    assert len(set(found.values())) == len(entries)
    return found


async def test_what_was_given_survives_kill_9_and_no_position_is_given_twice(
    tmp_path: Path,
) -> None:
    chance = random.Random(3)
    path = tmp_path / "log.db"
    given: dict[str, str] = {}
    for _ in range(4):
        with child([*APPENDING, path]) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randrange(30, 900))]
            process.kill()
            lines += process.stdout.readlines()
        told, refused = said(lines)
        assert refused == {}
        assert not told.keys() & given.keys()
        given |= told
        found = await held(path, len(given))
        assert found.items() >= given.items()
        given = found


async def test_a_log_under_a_limit_of_the_system_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with child([*APPENDING, path, "--file-bytes", "1000000"]) as process:
        assert process.stdout is not None
        given, refused = said(process.stdout.readlines())
    assert process.returncode == 0
    assert set(refused.values()) <= {"outcome_unknown", "log_unavailable"}
    assert len(refused) >= 3
    assert {one.split("-")[0] for one in given.values()} == {"before", "after"}
    found = await held(path, len(given))
    assert found.items() >= given.items()
    assert not set(found.values()) & {
        data for data, code in refused.items() if code == "log_unavailable"
    }


def own_file_system() -> bool:
    """Whether this system lets us mount one that no one else sees."""
    command = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return (
        shutil.which("unshare") is not None
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not own_file_system(), reason="needs a file system of its own, to fill it")
async def test_a_full_file_system_refuses_and_loses_nothing(tmp_path: Path) -> None:
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    kept.mkdir()
    script = (
        'mount -t tmpfs -o size=4m tmpfs "$1" && "$2" -m tests.faults.appending "$1/log.db"'
        ' --ballast && cp "$1"/log.db* "$3"'
    )
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    with child([*unshare, small, sys.executable, kept]) as process:
        assert process.stdout is not None
        given, refused = said(process.stdout.readlines())
    assert process.returncode == 0
    assert set(refused.values()) == {"log_unavailable"}
    assert {one.split("-")[0] for one in given.values()} == {"before", "after"}
    found = await held(kept / "log.db", len(given))
    assert found == given


# The data directory.


def test_a_directory_has_one_process_at_a_time(tmp_path: Path) -> None:
    data = tmp_path / "data"
    code = "import sys, time; from pathlib import Path;"
    code += "from penstock.adapters.embedded.directory import DataDirectory;"
    code += "d = DataDirectory(Path(sys.argv[1])); print('locked', flush=True); time.sleep(60)"
    with child([sys.executable, "-c", code, data]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(ConfigurationError, match="in use by another Penstock process"):
            DataDirectory(data)
        process.kill()
        process.wait()
        # A process that was killed leaves no lock behind.
        directory = DataDirectory(data)
    with pytest.raises(ConfigurationError, match="in use"):
        DataDirectory(data)
    directory.release()
    DataDirectory(data).release()


def test_a_directory_that_cannot_be_made_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file/data cannot be used"):
        DataDirectory(tmp_path / "file" / "data")


def test_what_is_secret_is_kept_from_others_and_stays_the_same(tmp_path: Path) -> None:
    data, entropy = tmp_path / "data", SystemEntropy()
    directory = DataDirectory(data)
    secret = directory.secret(None, entropy)
    key, is_new = directory.admin_key(None, entropy)
    assert is_new
    directory.release()
    directory = DataDirectory(data)
    assert directory.secret(None, entropy) == secret
    assert directory.admin_key(None, entropy) == (key, False)
    directory.release()
    assert data.stat().st_mode & 0o777 == 0o700
    assert {one.name: one.stat().st_mode & 0o777 for one in data.iterdir()} == {
        "lock": 0o600, "secret": 0o600, "admin-key": 0o600,
    }  # fmt: skip
    assert len(key) > 40
