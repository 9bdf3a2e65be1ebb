"""Published schemas of custom resources, from npm: fetched once, kept in `.cache`."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

from deploy.chart import Document

_SOURCE: Final = Path(__file__).parents[1] / "deploy" / "models"
_CACHE: Final = Path(
    os.environ.get("PENSTOCK_MODELS_CACHE", Path(__file__).parents[2] / ".cache" / "models")
)
_PACKAGES: Final = {
    "external-secrets.io": "external-secrets",
    "gateway.networking.k8s.io": "gateway-api",
    "keda.sh": "keda",
    "monitoring.coreos.com": "prometheus-operator",
    "traefik.io": "traefik",
    "argoproj.io": "argo-cd",
}
_OF_ROLLOUTS: Final = ("Rollout", "AnalysisTemplate")


class NoModels(Exception):
    """They cannot be had here; the text says why."""


def problems(objects: Sequence[Document]) -> list[str]:
    """What their schemas say of these objects; nothing if all is well. Raises `NoModels`."""
    given = [{"object": one, "module": _module(one)} for one in objects]
    folder = _fetched()
    done = subprocess.run(
        ["node", str(folder / "check.mjs")],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def is_known(one: Document) -> bool:
    """Whether there is a schema for it here."""
    return one["apiVersion"].partition("/")[0] in _PACKAGES


def _module(one: Document) -> str:
    group = one["apiVersion"].partition("/")[0]
    package = "argo-rollouts" if one["kind"] in _OF_ROLLOUTS else _PACKAGES[group]
    return f"@kubernetes-models/{package}/{one['apiVersion']}/{one['kind']}"


def _fetched() -> Path:
    """A folder with the packages and the program that asks them, whole or not at all."""
    files = sorted(_SOURCE.iterdir())
    digest = blake2b(b"".join(one.read_bytes() for one in files), digest_size=8).hexdigest()
    folder = _CACHE / digest
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            aside = _CACHE / f"{digest}.part"
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(_SOURCE, aside)
            _install(aside)
            aside.rename(folder)
    return folder


def _install(folder: Path) -> None:
    command = ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        raise NoModels("npm is not on PATH") from None
    except subprocess.TimeoutExpired:
        raise NoModels("npm took longer than 300 s") from None
    except subprocess.CalledProcessError as error:
        raise NoModels(f"npm ci failed: {error.stderr[-500:]}") from None
