"""The suites of laws are not test files by name: their assertions are to be explained as well."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(f"tests.contract.{port}_laws" for port in ("log", "store", "cache", "catalog"))
)
