"""The records that are written and read: made of their numbers, so that answers can be checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

READ: Final = 10_000
"""Records that are read, of the numbers from 0 on."""
SITES: Final = 100
PAGE: Final = 20


def record_id(number: int) -> str:
    return f"r{number:09x}"


def body(number: int) -> bytes:
    """About 200 bytes of JSON. The newest of a site are those with the highest numbers.

    Put together by hand: a generator of load has no time for more.
    """
    minute, second = divmod(number // SITES, 60)
    hour, minute = divmod(minute, 60)
    day, hour = divmod(hour, 24)
    return (
        f'{{"site":"station-{number % SITES:04}","sensor":"flow-{number % 7}",'
        f'"time":"2026-01-{1 + day:02}T{hour:02}:{minute:02}:{second:02}Z","value":{number / 8},'
        f'"unit":"m3/s","valid":{"false" if number % 2 else "true"},'
        '"note":"measured by the gauge at the weir, at noon, and looked at by nobody since"}'
    ).encode()


def record(number: int) -> dict[str, Any]:
    """The same, decoded."""
    decoded: dict[str, Any] = json.loads(body(number))
    return decoded


def line(number: int) -> bytes:
    """Of a bulk."""
    return b'{"id":"%b","data":%b}\n' % (record_id(number).encode(), body(number))


def is_record(number: int) -> Callable[[bytes], None]:
    """Checks that an answer is that record."""

    def check(answer: bytes) -> None:
        found = json.loads(answer)
        assert (found["id"], found["data"]) == (record_id(number), record(number)), answer[:500]

    return check


def is_newest_page(site: int) -> Callable[[bytes], None]:
    """Checks that an answer is the newest page of the records that are read, of that site."""
    last = READ - SITES + site
    wanted = [(record_id(one), record(one)) for one in range(last, last - PAGE * SITES, -SITES)]

    def check(answer: bytes) -> None:
        found = [(one["id"], one["data"]) for one in json.loads(answer)["records"]]
        assert found == wanted, answer[:500]

    return check
