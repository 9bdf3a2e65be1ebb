"""What is made from the chart is as it would be made now."""

from __future__ import annotations

from deploy.chart import FOLDER, documents
from deploy.render import files, main
from tests.support.chart import release


def test_rendered_files_have_not_drifted_from_the_chart() -> None:
    assert main(["--check"]) == 0


def test_the_manifests_hold_every_object_of_the_chart() -> None:
    applied = {
        (one["kind"], one["metadata"]["name"])
        for path, text in files()
        if path.parent == FOLDER / "kubernetes" and path.name != "kustomization.yaml"
        for one in documents(text)
    }
    assert applied == {
        (one["kind"], one["metadata"]["name"]) for one in release("values/plain.yaml")
    }


def test_kustomize_is_told_of_every_file() -> None:
    folder = FOLDER / "kubernetes"
    (listed,) = documents((folder / "kustomization.yaml").read_text())
    assert set(listed["resources"]) == {
        path.name
        for path in folder.glob("*.yaml")
        if path.name not in ("kustomization.yaml", "secret.example.yaml")
    }
