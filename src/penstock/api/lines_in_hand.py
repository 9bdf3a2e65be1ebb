"""The lines of a bulk that are in hand: read as there is room for them, and one group at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from penstock.api.holding import Holding
from penstock.api.ndjson import Line
from penstock.api.turns import Turns

_OVERHEAD_BYTES: Final = 512
"""What a line takes in memory beside itself."""


class LinesInHand:
    """Of one bulk. `close` it whatever happens."""

    def __init__(self, holding: Holding, turns: Turns) -> None:
        self._holding = holding
        self._turns = turns
        self._sizes: deque[int] = deque()

    async def read(
        self, groups: AsyncGenerator[list[Line], None]
    ) -> AsyncGenerator[list[Line], None]:
        """The groups of lines as they come, each when there is room for it, and it is its turn.

        A group takes the event loop for milliseconds: other requests come between two of them.
        """
        async with aclosing(groups):
            async for group in groups:
                size = sum(_OVERHEAD_BYTES + len(one) for one in group if isinstance(one, bytes))
                await self._holding.room(size)
                self._sizes.append(size)
                await self._turns.mine()
                yield group

    def answered(self) -> None:
        """The results of the earliest group in hand have gone out."""
        self._holding.give(self._sizes.popleft())

    def close(self) -> None:
        """Nothing is in hand any more."""
        self._holding.give(sum(self._sizes))
        self._sizes.clear()
