"""A look at a request that is to be turned away: where it ends, and what it asks for, no more."""

from __future__ import annotations

import itertools
import re
from typing import Final

import httptools

_MOST_BYTES: Final = 8 * 1024
_MOST_KNOWN: Final = 512
_END: Final = b"\r\n\r\n"
_LINE: Final = re.compile(
    # The answer to a HEAD has no body; other methods are rare.
    rb"(GET|PUT|POST|PATCH|DELETE) (/[^ ?#\r\n]*)(?:\?[^ #\r\n]*)? HTTP/1\.1\r\n"
).match
_REQUEST_ID: Final = re.compile(rb"\nx-request-id: ([A-Za-z0-9._-]{1,64})\r", re.IGNORECASE).search
_HOST: Final = b"\nhost:"
_LENGTH: Final = re.compile(rb"\ncontent-length: ([0-9]{1,4})\r").search
_ODD: Final = re.compile(
    # Not to be adopted; on which two could disagree where the request ends; that may end with it.
    rb"\n(?:x-request-id|transfer-encoding|connection(?!: keep-alive\r))"
).search
_ODD_LENGTH: Final = -1
_ONE_AND_THIS: Final = 2


Skimmed = tuple[bytes, bytes, bytes | None]
"""What there is to know of a request that is turned away: its method; its path, without the query;
and its id, to be adopted, None where one has to be made. A plain tuple costs the least."""


class Skimmer:
    """Skims requests, with llhttp as `incoming` does, but without being told what it finds.

    Clients say the same in all their headers but a few times: headers that were looked at once are
    known again, and a request costs less than a microsecond then, a tenth of taking it apart. One
    serves all connections: it is only asked about bytes that begin with a request.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._number = 0
        self._known: dict[bytes, int] = {}
        self._begin_anew()

    def look(self, data: bytes) -> Skimmed | None:
        """What the bytes ask for, where they are one whole request, and no more.

        None where they are not, where the connection ends with it, where two could disagree on
        where it ends, or where it is of an odd form: that is for the long way.
        """
        line = _LINE(data)
        if line is None:
            return None
        start, end = line.end(), data.find(_END) + len(_END)
        headers, request_id = data[start:end], None
        length = self._known.get(headers)
        if length is None:
            # With the request id they may be new every time.
            found = _REQUEST_ID(data, start - 1, end)
            if found is not None:
                request_id = found[1]
                headers = data[start : found.start() + 1] + data[found.end() + 1 : end]
            length = self._known.get(headers)
            if length is None:
                length = self._learn(data, headers, end)
        if length == _ODD_LENGTH or end + length != len(data):
            return None
        return line[1], line[2], request_id

    def _learn(self, data: bytes, headers: bytes, end: int) -> int:
        """How long a body is behind such headers; `_ODD_LENGTH` where they are not plain.

        Nothing is learnt of bytes that are not one request.
        """
        lowered = b"\n" + headers.lower()
        found = _LENGTH(lowered)
        length = 0 if found is None else int(found[1])
        # In this order: the parser must see nothing that it would not be done with.
        if len(data) > _MOST_BYTES or end + length != len(data):
            return _ODD_LENGTH
        if _ODD(lowered) or lowered.count(_HOST) != 1:
            length = _ODD_LENGTH
        elif not self._is_one(data):
            return _ODD_LENGTH
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[headers] = length
        return length

    def _is_one(self, data: bytes) -> bool:
        """Whether llhttp finds exactly one request in the bytes."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._begin_anew()
            return False
        # Each request that is complete has taken a number, and so does this.
        before, self._number = self._number, next(self._numbers)
        if self._number - before == _ONE_AND_THIS:
            return True
        self._begin_anew()
        return False

    def _begin_anew(self) -> None:
        self._parser = httptools.HttpRequestParser(_Counting(self._numbers))
        self._number = next(self._numbers)


class _Counting:
    """What llhttp calls: nothing of ours is, only a number is taken."""

    def __init__(self, numbers: itertools.count[int]) -> None:
        self.on_message_complete = numbers.__next__
