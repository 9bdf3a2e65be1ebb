"""A connection whose requests are turned away the short way, and that notes what it is told."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.api.response import Header


class Called:
    """`api.short.Caller`.

    Attributes:
        is_free: see there.
        held: whether its socket is not read.
        answer: what it was told; None before.
        taken_up: what it was given back; None before.
    """

    def __init__(self) -> None:
        self.is_free = True
        self.held = False
        self.answer: bytes | None = None
        self.taken_up: bytes | None = None

    @property
    def date(self) -> Sequence[Header]:
        return []

    def hold(self) -> None:
        self.held = True

    def cut_short(self, answer: bytes) -> None:
        self.held, self.answer = False, answer

    def take_up(self, data: bytes) -> None:
        self.held, self.taken_up = False, data
