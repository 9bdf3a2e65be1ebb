"""The image, really: `python -m deploy.tests.image`, as root.

Needs podman, buildah, runc and debootstrap.

Builds the base by debootstrap and the image on it, without a network, from wheels fetched before;
then runs it read-only, as nobody in particular, without capabilities, and looks:

- that it answers, and says that it is healthy;
- that nothing of it can be written, and that the data directory alone can;
- that SIGTERM lets a request under way finish, and ends it with exit code 0 in time;
- that neither the base's nor the build's package sources are told of in it.

Its containers and images are kept apart from all others, and go at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from deploy.chart import FOLDER

_ROOT: Final = FOLDER.parent
_CACHE: Final = Path(os.environ.get("PENSTOCK_IMAGE_CACHE", _ROOT / ".cache" / "image"))
_LOCK: Final = _ROOT / "requirements-image.lock"
_SUITE: Final = "bookworm"
_KEY: Final = "image-0123456789abcdef"
_NEEDED: Final = ("podman", "buildah", "runc", "debootstrap")
_START_S: Final = 60
_MOST_DRAIN_S: Final = 8


class CannotRun(Exception):
    """There are no containers here; the text says why."""


class Engine:
    """podman and buildah with a storage of their own."""

    def __init__(self, folder: Path) -> None:
        self._storage = (
            *("--root", str(folder / "storage"), "--runroot", str(folder / "run")),
            *("--storage-driver", "overlay"),
        )

    def podman(self, *arguments: str, check: bool = True) -> str:
        return _run("podman", *self._storage, "--runtime", "runc", *arguments, check=check)

    def buildah(self, *arguments: str) -> str:
        return _run("buildah", *self._storage, *arguments)

    def inside(self, container: str, *command: str) -> str:
        """What a program in the container prints, both ways; also where it fails."""
        return self.podman("exec", container, *command, check=False)


def tried(told: Any = print) -> None:
    """Build it and try it. Raises `CannotRun`, `AssertionError`."""
    _check_programs()
    with tempfile.TemporaryDirectory(prefix="penstock-image-") as name, _engine(Path(name)) as one:
        began = time.monotonic()
        tag = _built(one, Path(name))
        told(f"built in {time.monotonic() - began:.0f} s, {_mib(one, tag):.0f} MiB")
        _look_at_image(one, tag)
        with _running(one, tag) as (container, url):
            told(f"ready {_until_ready(url):.1f} s after its start")
            _look_at_process(one, container)
            told(f"drained in {_drained(one, container, url):.1f} s, with exit code 0")


@contextmanager
def _engine(folder: Path) -> Iterator[Engine]:
    engine = Engine(folder)
    try:
        yield engine
    finally:
        engine.podman("rm", "--all", "--force", "--time", "0", check=False)
        # Mounts of the storage would keep the folder from going.
        engine.podman("rmi", "--all", "--force", check=False)
        _run("umount", str(folder / "storage" / "overlay"), check=False)


def _check_programs() -> None:
    missing = [one for one in _NEEDED if shutil.which(one) is None]
    if missing:
        raise CannotRun(f"{', '.join(missing)} not on PATH: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        raise CannotRun("debootstrap needs root")


def _built(engine: Engine, folder: Path) -> str:
    base, tag = "localhost/penstock-base:test", "localhost/penstock:test"
    engine.podman("import", str(_base()), base)
    wheels = _wheels()
    secret = folder / "pip.conf"
    secret.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    engine.buildah(
        *("build", "--file", str(FOLDER / "docker" / "Dockerfile"), "--layers=false"),
        *("--ignorefile", str(FOLDER / "docker" / "Dockerfile.dockerignore")),
        *("--build-arg", f"BASE={base}", "--format", "docker", "--network", "none"),
        *("--secret", f"id=pip,src={secret}", "--volume", f"{wheels}:/wheels:ro"),
        *("--tag", tag, str(_ROOT)),
    )
    return tag


def _base() -> Path:
    """A Debian with Python, as a tar file; made once."""
    made = _CACHE / f"{_SUITE}.tar"
    if not made.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="penstock-base-") as name:
            packages = "ca-certificates,python3,python3-venv"
            options = ("--variant=minbase", f"--include={packages}")
            try:
                _run("debootstrap", *options, _SUITE, name)
            except AssertionError as error:
                raise CannotRun(f"debootstrap: {str(error)[-300:]}") from None
            shutil.rmtree(Path(name) / "var" / "cache" / "apt")
            part = made.with_suffix(".part")
            _run(
                "tar", "--create", "--numeric-owner", "--file", str(part), "--directory", name, "."
            )
            part.rename(made)
    return made


def _wheels() -> Path:
    """All that the image installs, fetched by the machine's own pip; once for each lock."""
    folder = _CACHE / f"wheels-{blake2b(_LOCK.read_bytes(), digest_size=8).hexdigest()}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        only = ("--only-binary", ":all:", "--python-version", "3.11")
        _run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"),
            *only,
            *("--requirement", str(_LOCK), "--dest", str(part)),
        )
        part.rename(folder)
    return folder


def _look_at_image(engine: Engine, tag: str) -> None:
    (told,) = json.loads(engine.podman("inspect", tag))
    config = told["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["penstock"]
    assert config["StopSignal"] == "SIGTERM"
    assert told["Healthcheck"]["Test"] == ["CMD", "penstock", "health"]
    known = {
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONUNBUFFERED",
        "PENSTOCK_HOST",
        "PENSTOCK_DATA",
    }
    assert {one.partition("=")[0] for one in config["Env"]} == known
    history = json.dumps(told["History"]) + json.dumps(config)
    for source in ("wheels", "index-url", "proxy", "pip.conf\\"):
        assert source not in history, source


@contextmanager
def _running(engine: Engine, tag: str) -> Iterator[tuple[str, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The host's network, for want of one of its own; it listens on loopback only.
    container = engine.podman(
        *("run", "--detach", "--network", "host", "--read-only", "--read-only-tmpfs=false"),
        # Limits that are ours to give, and no timer of systemd's.
        *("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096", "--no-healthcheck"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--stop-timeout", "30"),
        *("--volume", "data:/var/lib/penstock"),
        *("--env", "PENSTOCK_HOST=127.0.0.1", "--env", f"PENSTOCK_PORT={port}"),
        *("--env", f"PENSTOCK_ADMIN_KEY={_KEY}", tag),
    ).strip()
    try:
        yield container, f"http://127.0.0.1:{port}"
    except BaseException:
        sys.stderr.write(engine.podman("logs", container, check=False)[-3000:])
        raise


def _until_ready(url: str) -> float:
    began = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310  # http, on loopback
                return time.monotonic() - began
        except OSError:
            if time.monotonic() - began > _START_S:
                raise
            time.sleep(0.1)


def _look_at_process(engine: Engine, container: str) -> None:
    """Who it is, and what it may write, as a Python beside it tells: there need be no shell."""
    script = (
        "import os, pathlib\n"
        "def may(path):\n"
        "    try: pathlib.Path(path, 'x').write_text(''); return True\n"
        "    except OSError: return False\n"
        "status = pathlib.Path('/proc/1/status').read_text()\n"
        "field = lambda name: status.split(name + ':')[1].split()[0]\n"
        "print(os.getuid(), field('Uid'), int(field('CapEff'), 16), field('NoNewPrivs'))\n"
        "print([may(one) for one in ('/', '/opt/penstock', '/etc', '/tmp', '/var/lib/penstock')])\n"
        "print(pathlib.Path('/proc/1/comm').read_text().strip())\n"
        "print([one for one in ('/etc/pip.conf', '/wheels', '/build') if os.path.exists(one)])\n"
    )
    found = engine.inside(container, "python3", "-c", script).splitlines()
    assert found[0] == "10001 10001 0 1", found
    assert found[1] == "[False, False, False, False, True]", found
    assert found[2] == "penstock", found
    assert found[3] == "[]", found
    assert engine.inside(container, "penstock", "health") == ""
    assert engine.inside(container, "penstock", "health", "--ready") == ""
    assert "no answer" in engine.inside(container, "penstock", "health", "--port", "1")


def _drained(engine: Engine, container: str, url: str) -> float:
    """SIGTERM in the midst of a bulk, of which half has been sent: the rest is still taken."""
    _asked(url, "PUT", "/v1/collections/c", b"{}")
    answered: list[str] = []
    line = b'{"id":"r%d","data":{}}\n'

    def lines() -> Iterator[bytes]:
        yield line % 1
        begun.set()
        time.sleep(2)
        yield line % 2

    def bulk() -> None:
        answered.append(_asked(url, "POST", "/v1/collections/c/records:bulk", lines()))

    begun = threading.Event()
    sending = threading.Thread(target=bulk)
    sending.start()
    begun.wait(10)
    time.sleep(0.5)
    began = time.monotonic()
    engine.podman("kill", "--signal", "TERM", container)
    code = engine.podman("wait", container).strip()
    took = time.monotonic() - began
    sending.join(10)
    assert code == "0", f"exit code {code}"
    assert '"done":true,"accepted":2,"refused":0' in answered[0], answered
    assert 1 < took < _MOST_DRAIN_S, f"{took:.1f} s"
    return took


def _asked(url: str, method: str, path: str, body: bytes | Iterator[bytes]) -> str:
    media = "application/json" if isinstance(body, bytes) else "application/x-ndjson"
    headers = {"Authorization": f"Bearer {_KEY}", "Content-Type": media}
    request = urllib.request.Request(url + path, body, headers, method=method)  # noqa: S310  # http, on loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # likewise
        return str(answer.read().decode())


def _mib(engine: Engine, tag: str) -> float:
    return float(json.loads(engine.podman("inspect", tag))[0]["Size"]) / 2**20


def _run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)  # noqa: S603  # our own arguments
    if check:
        assert done.returncode == 0, f"{' '.join(command)[:300]}: {done.stderr[-3000:]}"
        return done.stdout
    return done.stdout + done.stderr


def main(arguments: Sequence[str]) -> int:
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    try:
        tried()
    except CannotRun as error:
        sys.stderr.write(f"The image was NOT tried: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
