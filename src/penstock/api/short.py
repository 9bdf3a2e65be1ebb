"""The short way to turn a request away: nothing of it is looked at but its end and its address.

At twice the load that can be served, every other request goes this way, and what that costs is
taken from those that are served. A turn of the event loop has room for so many; the others are
looked at again in the next ones, with their connections unread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from penstock.api.line import Line
from penstock.api.refusals import Refusals
from penstock.api.response import Header
from penstock.api.skim import Skimmer

_MOST: Final = 256
"""In a turn, so that turns stay short."""
_OF_POSTPONED: Final = 4
"""But at least every fourth of those that wait: being told so must not take longer and longer."""


class Caller(Protocol):
    """A connection."""

    @property
    def date(self) -> Sequence[Header]:
        """The Date header; another one when that has changed."""
        ...

    @property
    def is_free(self) -> bool:
        """Whether nothing is under way on it, and it is to stay after its next answer."""
        ...

    def hold(self) -> None:
        """Read no more for the moment."""
        ...

    def cut_short(self, answer: bytes) -> None:
        """Send a complete answer, and read again."""
        ...

    def take_up(self, data: bytes) -> None:
        """Read again, these bytes first."""
        ...


class ShortWay:
    """Turns requests away.

    Args:
        line: see `gate.Gate.line`.
        have_a_turn: asks for `turn` to be called.
        prefix: of request ids, and no other's: 10 characters.

    Attributes:
        refusals: the answers.
        turned_away: how many requests were, ever.
    """

    def __init__(
        self,
        line: Callable[[str, bytes], Line | None],
        have_a_turn: Callable[[], None],
        prefix: str,
    ) -> None:
        self._line = line
        self._have_a_turn = have_a_turn
        self._look = Skimmer().look
        self._room = _MOST
        self._postponed: deque[tuple[Caller, bytes, Line, bytes | None]] = deque()
        self.refusals = Refusals(prefix)
        self.turned_away = 0

    def turns_away(self, caller: Caller, data: bytes) -> bool:
        """Whether it does, being free: what is as plain as most (see `skim`), and has no room."""
        asked = self._look(data)
        if asked is None:
            return False
        method, path, request_id = asked
        line = self._line(method.decode("ascii"), path)
        if line is None or not line.limit.is_full:
            return False
        if self._room > 0:
            self._answer(caller, line, request_id)
        else:
            caller.hold()
            self._postponed.append((caller, data, line, request_id))
            self._have_a_turn()
        return True

    def turn(self) -> None:
        """Look again at what was postponed: there may even be room for it by now."""
        postponed = self._postponed
        self._room = max(_MOST, len(postponed) // _OF_POSTPONED)
        for _ in range(min(len(postponed), self._room)):
            caller, data, line, request_id = postponed.popleft()
            if line.limit.is_full and caller.is_free:
                self._answer(caller, line, request_id)
            else:
                caller.take_up(data)
        if postponed:
            self._have_a_turn()

    def _answer(self, caller: Caller, line: Line, request_id: bytes | None) -> None:
        self._room -= 1
        # After which there is room again.
        self._have_a_turn()
        line.limit.refused += 1
        self.turned_away += 1
        caller.cut_short(self.refusals.next(caller.date, request_id))
