"""The command line."""

from __future__ import annotations


def main() -> None:
    """The entry point of `penstock`."""
    from penstock.cli.app import app  # noqa: PLC0415  # `penstock --help` need not load the house

    app()
