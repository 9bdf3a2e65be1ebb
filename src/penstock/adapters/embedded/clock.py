"""The machine's own clock."""

from __future__ import annotations

import time


class SystemClock:
    """`ports.clock.Clock` by the operating system."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()
