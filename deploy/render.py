"""The files that are made from the chart: `python -m deploy.render`; `--check` only compares.

They are for people who use no Helm: plain manifests, rules and dashboards for a Prometheus and a
Grafana without operators, routes for a Traefik outside of Kubernetes.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.chart import CHART, FOLDER, SCHEMA, Document, rendered, rendered_text, split
from deploy.dashboards import DASHBOARDS
from deploy.routes import traefik_text
from deploy.settings import schema_text
from deploy.sizing import sizing_text

_HEAD: Final = "# Made from deploy/helm by `make docs`: change it there.\n"
_RUNBOOKS: Final = (
    "https://git.example.com/penstock/penstock/src/branch/main/docs/operations/runbooks.md"
)
_FIRST: Final = ("namespace.yaml", "secret.example.yaml")
"""Files of deploy/kubernetes that are written by hand."""


def files() -> Iterator[tuple[Path, str]]:
    """Each file that is made, and its text."""
    yield SCHEMA, schema_text()
    sizing = FOLDER.parent / "docs" / "operations" / "sizing.md"
    yield sizing, sizing_text(sizing.read_text())
    for name, text in DASHBOARDS.items():
        yield CHART / "files" / "dashboards" / name, text
        yield FOLDER / "monitoring" / "dashboards" / name, text
    rules = (CHART / "files" / "rules.yaml").read_text().replace("RUNBOOKS", _RUNBOOKS)
    yield FOLDER / "monitoring" / "penstock.rules.yaml", _HEAD + rules
    yield (
        FOLDER / "gateway" / "traefik" / "penstock.yaml",
        _HEAD + traefik_text(rendered([CHART / "values" / "gateway.yaml"])),
    )
    for path, text in _manifests():
        yield FOLDER / "kubernetes" / path, _HEAD + text


def _manifests() -> Iterator[tuple[str, str]]:
    """The plain manifests, by file, in the order in which they are to be applied."""
    found = defaultdict(list)
    for text, one in split(rendered_text([CHART / "values" / "plain.yaml"])):
        found[_file_of(one)].append(_without_helm(text))
    for name, texts in found.items():
        yield name, "---\n".join(texts)
    listed = "".join(f"  - {name}\n" for name in ("namespace.yaml", *sorted(found)))
    yield (
        "kustomization.yaml",
        f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{listed}",
    )


def _file_of(one: Document) -> str:
    component = one["metadata"]["labels"].get("app.kubernetes.io/component")
    if one["kind"] == "HorizontalPodAutoscaler":
        return f"{component}.hpa.yaml"
    if one["kind"] == "Ingress":
        return "ingress.yaml"
    if component:
        return f"{component}.yaml"
    return "networkpolicy.yaml" if one["kind"] == "NetworkPolicy" else "configuration.yaml"


def _without_helm(text: str) -> str:
    kept = (line for line in text.splitlines() if "helm.sh/chart:" not in line)
    return "\n".join(kept).replace("managed-by: Helm", "managed-by: kubectl") + "\n"


def main(arguments: list[str]) -> int:
    """Write them, or say which are not as they would be written."""
    check = "--check" in arguments
    made = dict(files())
    folder = FOLDER / "kubernetes"
    stale = {path for path in folder.glob("*.yaml") if path not in made and path.name not in _FIRST}
    different = [
        path for path, text in made.items() if not path.exists() or path.read_text() != text
    ]
    if check:
        for path in sorted({*different, *stale}):
            sys.stderr.write(f"{path} is out of date: run `make docs`\n")
        return 1 if different or stale else 0
    for path in different:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[path])
    for path in stale:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
