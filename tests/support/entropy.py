"""Randomness that is the same at every run."""

from __future__ import annotations

import random


class SeededEntropy:
    """`ports.entropy.Entropy` from a seed."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def bits(self, count: int) -> int:
        return self._random.getrandbits(count)
