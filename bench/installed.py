"""The baselines, installed on first use into `.cache/bench`, by the registries' own clients.

What is there is named by what was asked for: another version in a lock file is another folder.
"""

from __future__ import annotations

import shutil
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Final

from tests.support.servers.fetch import execute, once

_BENCH: Final = Path(__file__).parent
_BASELINES: Final = _BENCH / "baselines"
_CACHE: Final = (_BENCH.parent / ".cache" / "bench").resolve()


def express() -> Path:
    """The folder of the Express services, with their packages."""
    source = _BASELINES / "express"

    def install(folder: Path) -> None:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(source / name, folder)
        execute("npm", "ci", "--prefix", str(folder), "--no-audit", "--no-fund", "--omit=dev")

    folder = once(_named("express", source / "package-lock.json"), install, _CACHE)
    for script in source.glob("*.js"):
        shutil.copy(script, folder)
    return folder


def eve() -> Path:
    """The interpreter of an environment with Eve and gunicorn."""
    requirements = _BASELINES / "eve" / "requirements.txt"

    def install(folder: Path) -> None:
        execute(sys.executable, "-m", "venv", str(folder))
        python = str(folder / "bin" / "python")
        execute(python, "-m", "pip", "install", "-q", "-r", str(requirements))

    # Of its programs only this one still works where the folder is renamed.
    return once(_named("eve", requirements), install, _CACHE) / "bin" / "python"


def connect_classpath() -> str:
    """For `java -cp`: Kafka Connect and MongoDB's sink connector."""
    pom = _BASELINES / "connect" / "pom.xml"

    def install(folder: Path) -> None:
        execute(
            *("mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"),
            *(f"-DoutputDirectory={folder}", "-DincludeScope=runtime"),
        )

    return f"{once(_named('connect', pom), install, _CACHE)}/*"


def _named(name: str, asked_for: Path) -> str:
    return f"{name}-{blake2b(asked_for.read_bytes(), digest_size=4).hexdigest()}"
