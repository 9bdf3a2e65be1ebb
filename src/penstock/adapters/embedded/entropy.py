"""The machine's own randomness."""

from __future__ import annotations

import os
import threading
from typing import Final

_BLOCK: Final = 4096


class SystemEntropy:
    """`ports.entropy.Entropy` by the operating system, fetched a block at a time.

    A system call for each id would cost more than the id. No bit is handed out twice, also not to
    two threads.
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def bits(self, count: int) -> int:
        size = (count + 7) // 8
        local = self._local
        start = getattr(local, "at", _BLOCK)
        if start + size > _BLOCK:
            local.block = os.urandom(max(_BLOCK, size))
            start = 0
        local.at = start + size
        return int.from_bytes(local.block[start : start + size], "big") >> (8 * size - count)
