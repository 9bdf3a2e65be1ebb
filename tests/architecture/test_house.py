"""The house rules that a type checker does not know."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.config.document import page
from penstock.config.settings import Configuration
from penstock.errors import CODES
from penstock.telemetry.document import page as metrics_page
from penstock.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "penstock"
FILES = sorted(SOURCE.rglob("*.py"))
DRIVERS = {"apsw": "embedded", "confluent_kafka": "kafka", "pymongo": "mongodb", "redis": "redis"}


def imported(path: Path) -> set[str]:
    """The top-level names of all packages that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_imports_run_downwards() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_driver_is_imported_in_its_own_room_only(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[:2]
    foreign = {
        name for name in imported(path) & DRIVERS.keys() if room != ("adapters", DRIVERS[name])
    }
    assert foreign == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_is_one_room_with_one_purpose(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 320
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def test_a_port_and_its_adapters_share_their_file_names() -> None:
    ports = {path.name for path in (SOURCE / "ports").glob("*.py")} - {"__init__.py"}
    embedded = {path.name for path in (SOURCE / "adapters" / "embedded").glob("*.py")}
    assert ports <= embedded


def test_an_import_of_the_wiring_needs_no_driver() -> None:
    code = "import sys, penstock.wiring; print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    done = subprocess.run(
        [sys.executable, "-c", code, *DRIVERS, "opentelemetry"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_every_setting_says_what_it_means_and_stands_in_the_documentation() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    assert text == page()
    for name, field in Configuration.model_fields.items():
        assert field.description, name
        assert f"`PENSTOCK_{name.upper()}`" in text


def test_every_metric_is_documented_and_is_moved_somewhere() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    assert text == metrics_page()
    metrics = Metrics("", "")
    names = {name: one for name, one in vars(metrics).items() if one in set(metrics)}
    for name, family in names.items():
        assert f"`{family.name}" in text, name
        assert family.description.endswith("."), name
    moved = {
        node.attr
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        # `metrics.x`, `self._metrics.x`; the table moves two of its own.
        and ast.unparse(node.value).endswith("self" if path.name == "metrics.py" else "metrics")
    }
    assert names.keys() - moved == set()


def test_every_error_code_is_raised_somewhere() -> None:
    by_their_class = {
        "unauthenticated",
        "outcome_unknown",
        "deadline_exceeded",
        "method_not_allowed",
    }
    used = {
        node.value
        for path in FILES
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert CODES.keys() - used - by_their_class == set()
