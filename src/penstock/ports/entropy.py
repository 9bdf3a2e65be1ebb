"""Randomness."""

from __future__ import annotations

from typing import Protocol


class Entropy(Protocol):
    """Where ids, secrets and jitter come from; safe for secrets."""

    def bits(self, count: int) -> int:
        """A non-negative integer of `count` random bits."""
        ...
