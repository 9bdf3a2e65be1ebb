"""The command line with a defect in it: `python -m tests.support.defective serve …`."""

from __future__ import annotations

from tests.support.defect import a_defect

from penstock.cli.app import app

if __name__ == "__main__":
    with a_defect():
        app()
