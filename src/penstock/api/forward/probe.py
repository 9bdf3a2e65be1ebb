"""Asking a process whether it is ready."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Final

from penstock.api.forward.address import Address

PATIENCE_S: Final = 1.0
_QUESTION: Final = b"GET /readyz HTTP/1.1\r\nhost: penstock\r\nconnection: close\r\n\r\n"
_YES: Final = b"HTTP/1.1 200"


class Answer(Enum):
    """What came of it: yes, no, or nothing in time."""

    READY = auto()
    UNREADY = auto()
    NOTHING = auto()


async def probe(address: Address) -> Answer:
    """On a connection of its own: one that is kept would not show that no more are taken."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(
                address.ip, address.port, **address.options
            )
            try:
                writer.write(_QUESTION)
                answer = await reader.read(len(_YES))
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return Answer.NOTHING
    if not answer:
        return Answer.NOTHING
    return Answer.READY if answer == _YES else Answer.UNREADY
