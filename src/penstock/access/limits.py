"""How much a principal may ask for: buckets per key and per tenant, in requests and in bytes.

Everything is decided here, from memory; `sharing` tells other processes of it, and hears of them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Final, NamedTuple

from penstock.access.bucket import Bucket, Policy, take
from penstock.access.principal import Principal
from penstock.errors import QuotaExceeded
from penstock.records.scope import Rate

ROUND_S: Final = 0.5
"""How often other processes are told, and heard of; see `sharing`."""
_IDLE_S: Final = 10.0
"""How long after it was last used a bucket is told of, and kept though it is full."""
_STEP_S: Final = 0.25
_MOST_METERS: Final = 50_000
_MOST_STREAMS: Final = 8
"""Slowed down to one quota at once: what is slow stays long, and others need its place."""
_DROPPED: Final = 10
"""One in so many goes where there are too many."""

_REQUESTS: Final = "requests"
_BYTES: Final = "content-bytes"
_UNLIMITED: Final = Rate()


class Granted(NamedTuple):
    """What the installation grants.

    Attributes:
        key: to each key that has no rate of its own.
        tenant: to all keys of a tenant together.
        largest_bytes: of a body: so much may always be sent at once.
    """

    key: Rate = _UNLIMITED
    tenant: Rate = _UNLIMITED
    largest_bytes: int = 0


class Meter:
    """What one key is held to: its own buckets, and those that it shares with its tenant.

    A request is admitted where all of them admit it, or it takes from none. Moments are monotonic
    seconds. The bytes are those of bodies, decompressed, of the request and of its answer.

    Attributes:
        rate: of the principal, as it was when this was made.
        own: the buckets that it shares with no other.
        requests, bytes, buckets: all of them.
        described: its policies, which never change, as `api.quota` puts them; None until it has.
    """

    __slots__ = ("buckets", "bytes", "described", "own", "rate", "requests")

    def __init__(self, rate: Rate | None, own: list[Bucket], tenant: list[Bucket]) -> None:
        self.rate = rate
        self.own = own
        both = own + tenant
        self.requests = tuple(one for one in both if one.policy.unit == _REQUESTS)
        self.bytes = tuple(one for one in both if one.policy.unit == _BYTES)
        self.buckets = self.requests + self.bytes
        self.described: tuple[bytes, tuple[bytes, bytes]] | None = None

    @property
    def policies(self) -> tuple[Policy, ...]:
        return tuple(one.policy for one in self.buckets)

    def admit(self, now: float, size: int) -> None:
        """Take one request, and the bytes of its body, as far as they are known.

        Where none are known, none may be owed. Raises `QuotaExceeded`, and then nothing was taken.
        """
        for bucket in self.requests:
            if bucket.full_at - now > bucket.one_s:
                raise self._exceeded(now, size)
        for bucket in self.bytes:
            if bucket.wait(size, now) if size else bucket.full_at - now > bucket.none_s:
                raise self._exceeded(now, size)
        take(self.requests, 1, now)
        if size:
            take(self.bytes, size, now)

    def debit(self, size: int, now: float) -> None:
        """Take bytes that are there already, owed where there are not so many."""
        take(self.bytes, size, now)

    def begin_stream(self) -> None:
        """Count one more stream in, until `end_stream`. Raises `QuotaExceeded`."""
        if any(bucket.streams >= _MOST_STREAMS for bucket in self.bytes):
            detail = f"At most {_MOST_STREAMS} streams run at once under a quota of bytes."
            raise QuotaExceeded(detail, ("streams",), 1)
        for bucket in self.bytes:
            bucket.streams += 1

    def end_stream(self) -> None:
        for bucket in self.bytes:
            bucket.streams -= 1

    @property
    def step(self) -> int:
        """Bytes that come within `_STEP_S`; more than any body has where none are counted."""
        return max(int(_STEP_S * min([one.policy.rate for one in self.bytes], default=1e12)), 1)

    def pause(self, now: float) -> float:
        """Seconds until no bytes are owed: how long to read, or send, no further."""
        return max([bucket.wait(0, now) for bucket in self.bytes], default=0.0)

    def _exceeded(self, now: float, size: int) -> QuotaExceeded:
        """What is used up, and when the same request would be admitted, all buckets considered."""
        waits = [(one.policy.name, one.wait(1, now)) for one in self.requests]
        waits += [(one.policy.name, one.wait(size, now)) for one in self.bytes]
        used_up = tuple(name for name, wait in waits if wait)
        wait = max(wait for _, wait in waits)
        return QuotaExceeded(
            f"The quota {' and '.join(used_up)} is used up for {_seconds(wait)} more.",
            used_up,
            wait,
        )


class Limits:
    """The meters of all keys that were used of late.

    There are at most `_MOST_METERS` of them: where more are needed, the oldest go, and with them
    what is known of their use.

    Args:
        granted: by the installation.
        secret: the installation's; names under which processes tell each other are made with it,
            so that another installation on the same cache has others, and they say nothing.
    """

    def __init__(self, granted: Granted, secret: bytes) -> None:
        self._granted = granted
        self._secret = secret
        self._none_by_default = granted.key == granted.tenant == _UNLIMITED
        self._meters: dict[tuple[str, str], Meter] = {}
        self._tenants: dict[str, list[Bucket]] = {}

    def meter(self, principal: Principal) -> Meter | None:
        """What the principal is held to; None where nothing limits it."""
        rate = principal.rate
        if rate is None and self._none_by_default:
            return None
        meter = self._meters.get((principal.tenant, principal.key_id))
        if meter is None or (meter.rate is not rate and meter.rate != rate):
            meter = self._make(principal, meter)
        return meter if meter.requests or meter.bytes else None

    def active(self, now: float) -> list[Bucket]:
        """The buckets to tell of: those used not long ago, each once."""
        since = now - _IDLE_S
        return [one for one in self._all() if one.taken_at >= since]

    def forget(self, now: float) -> None:
        """Drop what nobody uses and is full: it would be made anew just so."""
        since = now - _IDLE_S
        for key, meter in list(self._meters.items()):
            if all(_is_idle(one, since) for one in meter.buckets):
                del self._meters[key]
        # A tenant's buckets may be in the hands of a meter that stays.
        held = {tenant for tenant, _ in self._meters}
        for tenant, buckets in list(self._tenants.items()):
            if tenant not in held and all(_is_idle(one, since) for one in buckets):
                del self._tenants[tenant]

    def _all(self) -> Iterator[Bucket]:
        for buckets in self._tenants.values():
            yield from buckets
        for meter in self._meters.values():
            yield from meter.own

    def _make(self, principal: Principal, before: Meter | None) -> Meter:
        if before is None and len(self._meters) >= _MOST_METERS:
            self._make_room()
        tenant = self._tenants.get(principal.tenant)
        if tenant is None:
            tenant = self._buckets("tenant", (principal.tenant,), self._granted.tenant)
            self._tenants[principal.tenant] = tenant
        rate = _either(principal.rate, self._granted.key)
        own = self._buckets("key", (principal.tenant, principal.key_id), rate)
        meter = Meter(principal.rate, _carried_over(own, before), tenant)
        self._meters[principal.tenant, principal.key_id] = meter
        return meter

    def _make_room(self) -> None:
        for key in list(self._meters)[: max(_MOST_METERS // _DROPPED, 1)]:
            del self._meters[key]
        held = {tenant for tenant, _ in self._meters}
        self._tenants = {name: one for name, one in self._tenants.items() if name in held}

    def _buckets(self, kind: str, whose: tuple[str, ...], rate: Rate) -> list[Bucket]:
        found: list[Bucket] = []
        if rate.requests_per_second is not None:
            policy = Policy.of(kind, _REQUESTS, rate.requests_per_second, 1)
            found.append(Bucket(self._name(policy, whose), policy))
        if rate.bytes_per_second is not None:
            largest = self._granted.largest_bytes
            policy = Policy.of(f"{kind}-bytes", _BYTES, rate.bytes_per_second, largest)
            found.append(Bucket(self._name(policy, whose), policy))
        return found

    def _name(self, policy: Policy, whose: tuple[str, ...]) -> str:
        text = "".join(f"{len(one)}/{one}" for one in (policy.name, *whose))
        digest = hashlib.blake2b(
            text.encode(errors="surrogatepass"), key=self._secret, digest_size=16, person=b"quota"
        )
        return digest.hexdigest()


def _either(own: Rate | None, granted: Rate) -> Rate:
    """A key's own rate, completed by what is granted to all."""
    if own is None:
        return granted
    requests, size = own.requests_per_second, own.bytes_per_second
    return Rate(
        granted.requests_per_second if requests is None else requests,
        granted.bytes_per_second if size is None else size,
    )


def _carried_over(made: list[Bucket], before: Meter | None) -> list[Bucket]:
    """The buckets, with those that were there before going on under their new policies."""
    known = {one.name: one for one in before.buckets} if before is not None else {}
    for place, bucket in enumerate(made):
        if bucket.name in known:
            made[place] = known[bucket.name]
            made[place].set(bucket.policy)
    return made


def _is_idle(bucket: Bucket, since: float) -> bool:
    return bucket.taken_at < since and bucket.full_at <= since


def _seconds(wait: float) -> str:
    whole = math.ceil(wait)
    return f"{whole} second{'' if whole == 1 else 's'}"
