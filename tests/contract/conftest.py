"""The suites of laws are not test files by name: their assertions are to be explained as well."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite(
    *(f"tests.contract.{path.stem}" for path in Path(__file__).parent.glob("*_laws.py")),
    "tests.contract.logs",
    "tests.contract.stores",
)
