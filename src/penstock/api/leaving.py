"""Leaving: said before it is done."""

from __future__ import annotations


class Leaving:
    """Whether the process is about to leave: then every answer is the last on its connection."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = False
