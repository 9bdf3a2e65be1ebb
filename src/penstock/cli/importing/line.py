"""A line of the input, on its way to the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Line(NamedTuple):
    """A line for `records:bulk`, or why it never gets there.

    Attributes:
        number: in the input, from 1; of a CSV, the row's last line.
        text: as it was read, for the file of refused lines.
        bulk: what is sent; empty where it is refused here.
        reason: why it is refused here; empty where it is not.
    """

    number: int
    text: bytes
    bulk: bytes
    reason: str = ""


class Reader(Protocol):
    """Reads an input of some format."""

    def lines(self) -> Iterator[Line]:
        """Its lines, but for blank ones. Raises `Failed` where the input as a whole is wrong."""
        ...
