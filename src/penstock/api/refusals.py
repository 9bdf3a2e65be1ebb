"""Answers to requests that are turned away, made ready before they are needed.

At twice the load that can be served, every other request is turned away: what that costs is taken
from those that are served. So nothing is encoded then; only the request id is put in its places.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from penstock.api import problem
from penstock.api.head import lines, whole
from penstock.api.response import Header, Headers
from penstock.errors import Unavailable

_PREFIX_BITS: Final = 40
_ID: Final = b"0" * 19
"""Stands for a request id."""
_RETRY_AFTER_S: Final = (1, 2, 3)
"""In turn: those who are turned away together do not come back together."""


class Refusals:
    """Makes them. `prefix` is of request ids, and no other's: 10 characters."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        self._numbers = itertools.count()
        self._date: Sequence[Header] | None = None
        self._ready: list[tuple[bytes, int]] = []

    def error(self) -> Unavailable:
        """The next one as an error, for an answer that has to be made."""
        return _overloaded(next(self._numbers))

    def next(self, date: Sequence[Header], adopted: bytes | None = None) -> bytes:
        """The next answer, complete.

        Args:
            date: the Date header; another one when that has changed.
            adopted: the request's own id; None where one has to be made.
        """
        if date is not self._date:
            self._date = date
            self._ready = [_rendered(one, list(date)) for one in range(len(_RETRY_AFTER_S))]
        number = next(self._numbers)
        request_id = adopted or b"%b-%x" % (self._prefix, number)
        template, length = self._ready[number % len(_RETRY_AFTER_S)]
        return template % (request_id, length + len(request_id), request_id)


def _rendered(number: int, date: list[Header]) -> tuple[bytes, int]:
    """What takes the request id, the length of the body and the id again; and that length so far.

    The length is without the request id.
    """
    own: Headers = ((b"x-request-id", _ID),)
    made = problem.answer(_overloaded(number), _ID.decode(), own)
    answer = whole(lines(date), made).replace(b"%", b"%%").replace(_ID, b"%b")
    size = len(made.body)
    return answer.replace(b"content-length: %d" % size, b"content-length: %d"), size - len(_ID)


def _overloaded(number: int) -> Unavailable:
    return Unavailable("overloaded", retry_after=_RETRY_AFTER_S[number % len(_RETRY_AFTER_S)])
