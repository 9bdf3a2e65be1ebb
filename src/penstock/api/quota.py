"""Quotas in HTTP: what an answer says of them, and bodies that are slowed down to them.

The fields are those of draft-ietf-httpapi-ratelimit-headers-11.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from penstock.access import Meter
from penstock.access.bucket import Policy, left
from penstock.api.headers import HeaderMap
from penstock.api.response import Header, Headers
from penstock.ports.clock import Clock

PROBLEM_TYPE: Final = "https://iana.org/assignments/http-problem-types#quota-exceeded"

_USUAL_UNIT: Final = "requests"
_LONGEST_S: Final = 1.0
"""Longest sleep in one go: a quota may be raised meanwhile."""


def declared_size(headers: HeaderMap) -> int | None:
    """How many bytes a body has, where its head says so; None where that is to be seen."""
    length = headers.get(b"content-length")
    if length is None:
        return None if b"transfer-encoding" in headers else 0
    return None if b"content-encoding" in headers else int(length)


def fields(meter: Meter, now: float) -> Headers:
    """`RateLimit`, of each quota what is left and how soon it is whole, and `RateLimit-Policy`."""
    if meter.described is None:
        meter.described = _described(meter.policies)
    form, policies = meter.described
    return (b"ratelimit", form % left(meter.buckets, now)), policies


async def paced(meter: Meter, size: int, clock: Clock) -> None:
    """Take the bytes of a piece of a stream, as soon as none are owed."""
    while (wait := meter.pause(clock.monotonic())) > 0:  # noqa: ASYNC110  # because it is time that is waited for
        await asyncio.sleep(min(wait, _LONGEST_S))
    meter.debit(size, clock.monotonic())


def _described(policies: Sequence[Policy]) -> tuple[bytes, Header]:
    """The form of the one field's value, to be filled in, and the other field."""
    form = ", ".join(f'"{one.name}";r=%d;t=%d' for one in policies)
    return form.encode(), (b"ratelimit-policy", ", ".join(map(_item, policies)).encode())


def _item(policy: Policy) -> str:
    unit = "" if policy.unit == _USUAL_UNIT else f';qu="{policy.unit}"'
    return f'"{policy.name}";q={int(policy.burst)}{unit};w={policy.window_s}'
