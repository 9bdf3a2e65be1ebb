"""Drivers that are installed only where a setting asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.errors import ConfigurationError


@contextmanager
def driver(setting: str, extra: str) -> Iterator[None]:
    """A setting that needs a driver says which, where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"{setting} needs a driver that is not installed: pip install 'penstock[{extra}]'"
        ) from error
