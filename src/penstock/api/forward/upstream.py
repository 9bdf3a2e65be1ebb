"""One process behind the API: its connections, how busy it is, and whether it can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from penstock.api.forward.address import Address
from penstock.api.forward.link import Broken, Call, Link
from penstock.ports.clock import Clock

CONNECT_S: Final = 0.3
"""How long connecting may take: on one network, it takes a hundredth of that, also with TLS."""

_MOST_IDLE: Final = 256
_STRIKES: Final = 3
"""Failures in a row after which it is left alone for a while."""
_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0


class Closable(Protocol):
    """What can be given up."""

    def close(self) -> None: ...


class Upstream:
    """A process at an address.

    Attributes:
        in_flight: requests that it has not answered yet.
        ready: whether it said so when it was last asked; see `watch`.
        heard_at: when it was last heard of, in monotonic seconds.
    """

    def __init__(self, address: Address, clock: Clock, on_change: Callable[[], None]) -> None:
        self.address = address
        self.in_flight = 0
        self.ready = False
        self.heard_at = clock.monotonic()
        self._clock = clock
        self._on_change = on_change
        self._idle: list[Link] = []
        self._streams: set[Closable] = set()
        self._strikes = 0
        self._pauses = 0
        self._back_at = 0.0

    @property
    def usable(self) -> bool:
        """Whether it is to be asked, if there is a choice."""
        return self.ready and self._back_at == 0.0

    async def ask(self, call: Call, message: bytes) -> Link:
        """Send a request. Raises `Broken` where it cannot be reached: nothing was sent then."""
        # Counted before it is connected, so that others see it coming.
        self.in_flight += 1
        try:
            link = self._idle.pop() if self._idle else await self._connect()
        except BaseException:
            self.in_flight -= 1
            raise
        link.begin(call, message)
        return link

    def abandon(self, link: Link) -> None:
        """Give up a request that has no answer yet: HTTP/1.1 can only close."""
        self.in_flight -= 1
        link.close()

    def begin_stream(self, stream: Closable) -> None:
        """A stream is under way, until `end_stream`."""
        self.in_flight += 1
        self._streams.add(stream)

    def end_stream(self, stream: Closable) -> None:
        """It has ended; may be told more than once."""
        if stream in self._streams:
            self.in_flight -= 1
            self._streams.remove(stream)

    def break_off(self) -> None:
        """It has been silent for so long that what still streams is given up."""
        for stream in list(self._streams):
            stream.close()

    # Its health.

    def said(self, *, ready: bool) -> None:
        """It was asked whether it is ready, and has answered."""
        self.heard_at = self._clock.monotonic()
        if ready is not self.ready:
            self.ready = ready
            self._on_change()

    def unheard(self) -> None:
        """It was asked, and did not answer."""
        if self.ready:
            self.ready = False
            self._on_change()

    def worked(self) -> None:
        """A request was answered, in time."""
        self._strikes = self._pauses = 0

    def strike(self, count: int = 1) -> None:
        """A request was not answered, or much later than another one would have been."""
        self._strikes += count
        if self._strikes >= _STRIKES and self._back_at == 0.0:
            pause_s = min(_PAUSE_S * 2**self._pauses, _LONGEST_PAUSE_S)
            self._strikes = 0
            self._pauses += 1
            self._back_at = self._clock.monotonic() + pause_s
            asyncio.get_running_loop().call_later(pause_s, self._back)
            self._on_change()

    def refused(self) -> None:
        """Nobody listens there."""
        self.strike(_STRIKES)

    def close(self) -> None:
        """Let go of the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    # What a link calls.

    def free(self, link: Link, *, stays: bool) -> None:
        self.in_flight -= 1
        if stays and len(self._idle) < _MOST_IDLE:
            self._idle.append(link)
            return
        link.close()
        if not stays:
            # It is about to leave; what it says next decides when it is asked again.
            self.unheard()

    def lost(self, link: Link, *, busy: bool) -> None:
        if busy:
            self.in_flight -= 1
        elif link in self._idle:
            self._idle.remove(link)

    # Our own.

    async def _connect(self) -> Link:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, link = await loop.create_connection(
                    lambda: Link(self), self.address.ip, self.address.port, **self.address.options
                )
        except (OSError, TimeoutError):
            self.refused()
            raise Broken from None
        return link

    def _back(self) -> None:
        self._back_at = 0.0
        self._on_change()
