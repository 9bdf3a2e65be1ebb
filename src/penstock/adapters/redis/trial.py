"""What the cache does with a Redis, done on a key of its own, of which nothing stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any, Final, NamedTuple

from penstock.adapters.redis.connection import script_call
from penstock.adapters.redis.script import (
    ADD_SHA,
    ADD_SOURCE,
    FILL,
    REFRESH,
    RELEASE_SHA,
    RELEASE_SOURCE,
    SOURCE,
    WRITE,
)
from penstock.adapters.redis.values import PLACEHOLDER, VALUE
from penstock.ports.clock import Clock
from penstock.records.position import position

_ROUNDS: Final = 20
_SHORT_MS: Final = 50
_LONG_MS: Final = 30_000
_LOOKS: Final = 200
_LOOK_EVERY_S: Final = 0.01
_MARK: Final = PLACEHOLDER + b"ours"
_OTHER_MARK: Final = PLACEHOLDER + b"another"
_OLDER: Final = position(1, 0, 1).encode()
_NEWER: Final = position(1, 0, 2).encode()


class Primary(NamedTuple):
    """A server that takes writes.

    Attributes:
        name: `host:port`.
        run: runs a command on it.
        key: one that belongs there, and to no one else.
    """

    name: str
    run: Callable[..., Awaitable[Any]]
    key: str


async def script(primary: Primary) -> str | None:
    """Whether the script writes what is newer, and only that; says what is wrong."""
    run, key = primary.run, primary.key
    older, newer = VALUE + _OLDER, VALUE + _NEWER
    try:
        await run("SCRIPT LOAD", SOURCE)
        await run("SET", key, _MARK, "PX", _LONG_MS)
        foreign = await run(*script_call(key, FILL, _OLDER, older, _LONG_MS, _OTHER_MARK))
        filled = await run(*script_call(key, FILL, _OLDER, older, _LONG_MS, _MARK))
        refreshed = await run(*script_call(key, REFRESH, _NEWER, newer, _LONG_MS, b""))
        stale = await run(*script_call(key, WRITE, _OLDER, older, _LONG_MS, b""))
        stands = await run("GET", key)
    finally:
        await run("DEL", key)
    if (foreign, filled, refreshed, stale) != (0, 1, 1, 0) or stands != newer:
        return "an older value was written over a newer one, or a newer one was not written"
    return None


async def expiry(primary: Primary) -> str | None:
    """Whether a value goes when its time is over; says what is wrong."""
    run, key = primary.run, primary.key
    try:
        await run("SET", key, b"short", "PX", _SHORT_MS)
        if await run("EXISTS", key) == 0:
            return f"a value was gone before its {_SHORT_MS} ms were over"
        for _ in range(_LOOKS):
            if await run("GET", key) is None:
                return None
            await asyncio.sleep(_LOOK_EVERY_S)
    finally:
        await run("DEL", key)
    return f"a value set for {_SHORT_MS} ms is still there after {_LOOKS * _LOOK_EVERY_S:.0f} s"


async def claim(primary: Primary) -> str | None:
    """Whether of two claims the first stands, and the second is told so; says what is wrong.

    Nor may the second take the first one back.
    """
    run, key = primary.run, primary.key
    try:
        first = await run("SET", key, b"first", "PX", _LONG_MS, "NX", "GET")
        second = await run("SET", key, b"second", "PX", _LONG_MS, "NX", "GET")
        await run("SCRIPT LOAD", RELEASE_SOURCE)
        taken_back = await run(*script_call(key, b"second", sha=RELEASE_SHA))
    finally:
        await run("DEL", key)
    if (first, second) != (None, b"first"):
        return f"SET with NX and GET answered {first!r}, then {second!r}"
    return "a claim was taken back by another" if taken_back else None


async def counts(primary: Primary) -> str | None:
    """Whether what is added comes together, and ends; says what is wrong."""
    run, key = primary.run, primary.key
    try:
        await run("SCRIPT LOAD", ADD_SOURCE)
        await run(*script_call(key, _LONG_MS, "a", 1, "b", 2, sha=ADD_SHA))
        totals = await run(*script_call(key, _LONG_MS, "b", 3, sha=ADD_SHA))
        left_ms = await run("PTTL", key)
    finally:
        await run("DEL", key)
    if totals != [5] or not 0 < left_ms <= _LONG_MS:
        return f"2 and 3 came to {totals!r}, for {left_ms} ms"
    return None


async def round_trip(primary: Primary, clock: Clock) -> float:
    """The median time of an answer, in seconds."""
    times = []
    for _ in range(_ROUNDS):
        start = clock.monotonic()
        await primary.run("GET", primary.key)
        times.append(clock.monotonic() - start)
    return median(times)
