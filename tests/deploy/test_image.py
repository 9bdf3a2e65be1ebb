"""The image: its Dockerfile is linted always, and it is built and run where containers can be."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from deploy.chart import FOLDER
from deploy.tests.image import CannotRun, tried

DOCKER = FOLDER / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


def test_hadolint_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [program, "--config", DOCKER / "hadolint.yaml", DOCKER / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_no_step_and_no_process_goes_through_a_shell() -> None:
    for word in ("RUN", "ENTRYPOINT", "CMD"):
        for step in re.findall(rf"^{word} ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE):
            assert re.search(r"\[.*\]$", step), f"{word} {step}"


def test_the_image_installs_what_the_project_names_and_no_more() -> None:
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["project"]
    wanted = {
        re.split(r"[\[>=<]", one)[0]
        for one in (
            *project["dependencies"],
            *(one for extra in project["optional-dependencies"].values() for one in extra),
        )
    } - {"penstock"}
    lock = (FOLDER.parent / "requirements-image.lock").read_text()
    assert wanted <= set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    plain = (FOLDER.parent / "requirements.lock").read_text()
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", plain, re.MULTILINE):
        assert f"\n{name}=={version} " in f"\n{lock}", f"{name}: run `make lock`"


def test_no_package_source_is_named() -> None:
    for path in (*DOCKER.iterdir(), FOLDER.parent / "requirements-image.lock"):
        text = path.read_text()
        assert "index-url" not in text
        assert "find-links" not in text
        assert "https://" not in text or path.suffix == ".md"


@pytest.mark.long
def test_the_image_is_built_and_run_read_only_and_drains() -> None:
    try:
        tried()
    except CannotRun as error:
        pytest.skip(f"THE IMAGE WAS NOT TRIED: {error}")
