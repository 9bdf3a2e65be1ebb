"""The command line with defects in it: `python -m tests.support.defective serve …`."""

from __future__ import annotations

from tests.support.defect import a_defect, a_failing_read

from penstock.cli.app import app

if __name__ == "__main__":
    with a_defect(), a_failing_read():
        app()
