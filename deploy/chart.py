"""The chart, rendered by Helm."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parent
CHART: Final = FOLDER / "helm" / "penstock"
SCHEMA: Final = CHART / "values.schema.json"
NAMESPACE: Final = "penstock"

Document = dict[str, Any]
"""A Kubernetes object."""


class ChartRefused(Exception):
    """Helm did not take the values; the text is its own."""


def rendered_text(values: Sequence[Path] = (), sets: Sequence[str] = ()) -> str:
    """All documents of a release named penstock. Raises `ChartRefused`.

    Args:
        values: values files, the later one wins.
        sets: `path=value`, as of `helm --set`.
    """
    return helm(
        *("template", "penstock", str(CHART), "--namespace", NAMESPACE),
        *(part for one in values for part in ("--values", str(one))),
        *(part for one in sets for part in ("--set", one)),
    )


def rendered(values: Sequence[Path] = (), sets: Sequence[str] = ()) -> list[Document]:
    """The same, parsed."""
    return documents(rendered_text(values, sets))


def documents(text: str) -> list[Document]:
    """The objects of a YAML stream."""
    return [one for one in yaml.load_all(text, _LOADER) if one]


def helm(*arguments: str) -> str:
    """What Helm prints. Raises `ChartRefused`."""
    done = subprocess.run(  # noqa: S603  # our own arguments
        [_program(), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ChartRefused(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def split(text: str) -> Iterator[tuple[str, Document]]:
    """Each object of a stream as text, without Helm's note of its template, and parsed."""
    for part in text.split("\n---\n"):
        lines = [one for one in part.splitlines() if not one.startswith(("---", "# Source:"))]
        body = "\n".join(lines).strip("\n") + "\n"
        for one in documents(body):
            yield body, one


def _program() -> str:
    beside = Path(sys.executable).with_name("helm")
    return str(beside) if beside.exists() else shutil.which("helm") or "helm"


# The parser in C, where PyYAML has it: the matrix of the tests is some megabytes.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
