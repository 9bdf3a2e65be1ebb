"""A token bucket: what may be taken at once, and how fast it comes back. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, inf
from typing import Final

import msgspec

EXACT_S: Final = 1e-6
"""By how much a moment may be missed: sums of floating-point numbers must not refuse what was
promised for now."""
_BURST_S: Final = 1.0
"""What may be taken at once is what comes in so many seconds, or one of the largest."""


class Policy(msgspec.Struct, frozen=True):
    """What a bucket holds, and how it is filled.

    Attributes:
        name: what clients know it by.
        unit: what is counted, as draft-ietf-httpapi-ratelimit-headers calls it: `requests` or
            `content-bytes`.
        rate: how much comes in per second; above 0.
        burst: how much it holds; what is largest always fits into it.
    """

    name: str
    unit: str
    rate: float
    burst: float

    @classmethod
    def of(cls, name: str, unit: str, rate: float, largest: float) -> Policy:
        """With room for what comes in a second, and for one of the largest at least."""
        return cls(name, unit, rate, max(rate * _BURST_S, largest))

    @property
    def window_s(self) -> int:
        """Whole seconds in which an empty bucket fills."""
        return ceil(self.burst / self.rate)


class Bucket:
    """The state of one bucket. Moments are monotonic seconds.

    All of it is one moment, after the generic cell rate algorithm (ITU-T I.371): `full_at`, when it
    will be full if nothing more is taken. What is missing at `now` is `(full_at - now) * rate`;
    where that is more than the bucket holds, it is in debt: more was taken than there was, because
    nobody could know before.

    Attributes:
        name: what other processes know it by.
        policy: may be replaced; what is missing then takes as long as before.
        full_at: see above.
        taken_at: when something was last taken here.
        used: how much was taken here since other processes were last told.
        seen: what all processes together had told when that was last heard; None for not yet.
        heard_at: when that was.
        streams: how many go on that are slowed down to it.
        each_s: in how many seconds one comes in.
        one_s, none_s: how far from full it may be, in seconds, for `wait` to be 0 for one and for
            nothing: to be looked at where a call is too dear.
        whole: what is left of it while it is full, as `left` has it.
    """

    __slots__ = (
        "_burst_s",
        "each_s",
        "full_at",
        "heard_at",
        "name",
        "none_s",
        "one_s",
        "policy",
        "seen",
        "streams",
        "taken_at",
        "used",
        "whole",
    )

    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self.full_at = self.taken_at = self.heard_at = -inf
        self.used = self.streams = 0
        self.seen: int | None = None
        self.policy: Policy
        self.set(policy)

    def set(self, policy: Policy) -> None:
        """Follow another policy from now on."""
        self.policy = policy
        self.each_s = 1 / policy.rate
        self._burst_s = policy.burst / policy.rate
        self.whole = int(policy.burst), 0
        self.none_s = self._burst_s + EXACT_S
        self.one_s = self.none_s - self.each_s

    def wait(self, amount: int, now: float) -> float:
        """Seconds until so much is there, if nobody else takes anything; 0 where it is there.

        Of 0: until it is not in debt. Of more than it can hold: until it is full.
        """
        missing_s = self.full_at - now
        short_s = missing_s - self._burst_s + amount * self.each_s
        return 0.0 if short_s <= EXACT_S else max(min(short_s, missing_s), 0.0)

    def learn(self, total: int, told: int, now: float, round_s: float) -> None:
        """Take what others took, as far as that is new.

        Args:
            total: what all processes have told so far, this one included.
            told: what of it this one told just now.
            now: when.
            round_s: the time between two such messages, ordinarily.
        """
        before = total - told
        if self.seen is not None:
            # Where there is less than there was, the count was lost, and has begun anew.
            others = before - self.seen if before >= self.seen else before
            if others > 0:
                # What was missed for long was taken long ago, and has come back meanwhile.
                since = max(self.full_at, min(now, self.heard_at + round_s))
                self.full_at = since + others * self.each_s
        self.seen = total
        self.heard_at = now

    def unheard(self) -> None:
        """The others could not be reached. What is heard of them next says nothing about now."""
        self.seen = None


def take(buckets: Iterable[Bucket], amount: int, now: float) -> None:
    """Take so much of each, there or not."""
    for one in buckets:
        full_at = one.full_at
        one.full_at = (full_at if full_at > now else now) + amount * one.each_s  # noqa: FURB136  # because max() takes as long as the rest
        one.taken_at = now
        one.used += amount


def left(buckets: Iterable[Bucket], now: float) -> tuple[int, ...]:
    """Of each, how much may be taken now, and in how many whole seconds it will be full."""
    found: tuple[int, ...] = ()
    for one in buckets:
        missing_s = one.full_at - now
        if missing_s <= 0:
            found += one.whole
        else:
            policy = one.policy
            here = policy.burst - missing_s * policy.rate
            found += (int(here) if here > 0 else 0), ceil(missing_s)
    return found
