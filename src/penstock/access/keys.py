"""The API keys that are in use, kept in memory and compared with the keyring again and again.

A request with a known key waits for nothing. A key that is not known is asked for, together with
all others that are at the same moment, one question at a time: a storm of guesses costs the store
no more than that, and the same guess is asked for once in a while at most. What is known stays so
while the keyring cannot be reached; a revocation waits until then, which the log says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeVar

from penstock.access.known import NEVER, Known
from penstock.access.principal import Principal
from penstock.access.rounds import Rounds
from penstock.errors import Unauthenticated, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.keyring import Keyring
from penstock.records.key import Key
from penstock.telemetry.logs import logger

EVERY_S: Final = 2.0
"""Between two comparisons; with the time that one takes, a revocation is noticed within 5 s."""

_AT_ONCE: Final = 1_000
_MOST_WAITING: Final = 10_000
_MOST_UNKNOWN: Final = 10_000
_UNKNOWN_S: Final = 5.0
_IDLE_MS: Final = 600_000
_NOTE_EVERY_MS: Final = 60_000
_LAST_WORDS_S: Final = 1.0

_log = logger("access")

K = TypeVar("K")

_Found = Known | Exception | None


class KnownKeys:
    """Looks keys up by their digests."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock
        self._known: dict[bytes, Known] = {}
        self._unknown: dict[bytes, float] = {}
        self._wanted: dict[bytes, asyncio.Future[_Found]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._reached = True
        self._rounds = Rounds(self.compare, EVERY_S)
        self.recall: Callable[[bytes], Known | None] = self._known.get

    def start(self) -> None:
        self._rounds.start()

    @property
    def count(self) -> int:
        """How many are known."""
        return len(self._known)

    @property
    def is_reached(self) -> bool:
        """Whether the keyring could be asked at the last comparison."""
        return self._reached

    async def close(self) -> None:
        """Stop, and note what was used last, if that is possible at once."""
        await self._rounds.close()
        if self._looking is not None:
            self._looking.cancel()
        self._see_use()
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._note(0)
        except (TimeoutError, Unavailable):
            return

    async def find(self, digest: bytes) -> Known:
        """A key that is not recalled. Raises `Unauthenticated` for none, and `Unavailable`."""
        if self._unknown.get(digest, 0.0) > self._clock.monotonic():
            raise Unauthenticated
        future = self._wanted.get(digest)
        if future is None:
            if len(self._wanted) >= _MOST_WAITING:
                raise Unavailable("overloaded", retry_after=1)
            future = self._wanted[digest] = asyncio.get_running_loop().create_future()
            if self._looking is None:
                self._looking = asyncio.create_task(self._look())
        # Shielded, since others may wait for it too.
        found = await asyncio.shield(future)
        if found is None:
            raise Unauthenticated
        if isinstance(found, Exception):
            raise found
        return found

    def learn(self, key: Key) -> None:
        """A key was made, or changed, by this process."""
        self._unknown.pop(key.digest, None)
        known = self._known.get(key.digest)
        if known is not None:
            known.expires_at = _end(key)

    def forget(self, key: Key) -> None:
        """A key was revoked, by this process."""
        self._known.pop(key.digest, None)

    async def compare(self) -> None:
        """Forget what was revoked, or not used for long; note what was used."""
        self._see_use()
        try:
            for part in _parts(list(self._known.items())):
                self._compare(part, await self._keyring.find(list(part)))
            await self._note(_NOTE_EVERY_MS)
        except Unavailable as error:
            if self._reached:
                self._reached = False
                _log.warning(
                    "keyring_unreachable", effect="revocations wait", reason=error.internal
                )
            return
        if not self._reached:
            self._reached = True
            _log.info("keyring_reached", effect="revocations are in force")

    def _see_use(self) -> None:
        now = self._clock.now()
        for known in self._known.values():
            if known.was_used:
                known.was_used, known.used_at = False, now

    def _compare(self, part: Mapping[bytes, Known], found: Mapping[bytes, Key]) -> None:
        now = self._clock.now()
        for digest, known in part.items():
            key = found.get(digest)
            if key is not None:
                known.expires_at = _end(key)
            is_idle = not known.was_used and known.used_at < now - _IDLE_MS
            is_over = key is None or is_idle or known.expires_at <= now
            # Unless it was asked for anew meanwhile.
            if is_over and self._known.get(digest) is known:
                del self._known[digest]

    async def _note(self, every_ms: int) -> None:
        """Write when keys were last used, of each again after `every_ms` at the earliest."""
        due = {
            known.principal.key_id: known
            for known in self._known.values()
            if known.used_at > known.noted_at and known.used_at - known.noted_at >= every_ms
        }
        for part in _parts(list(due.items())):
            await self._keyring.touch({key_id: known.used_at for key_id, known in part.items()})
            for known in part.values():
                known.noted_at = known.used_at

    async def _look(self) -> None:
        """Ask for what is wanted, until nothing is."""
        try:
            while self._wanted:
                wanted = dict(islice(self._wanted.items(), _AT_ONCE))
                found = await self._ask(wanted)
                for digest, future in wanted.items():
                    del self._wanted[digest]
                    if not future.done():
                        future.set_result(found[digest])
        finally:
            self._looking = None

    async def _ask(self, digests: Iterable[bytes]) -> Mapping[bytes, _Found]:
        try:
            keys = await self._keyring.find(list(digests))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the askers' to handle
            return dict.fromkeys(digests, error)
        return {digest: self._remember(digest, keys.get(digest)) for digest in digests}

    def _remember(self, digest: bytes, key: Key | None) -> Known | None:
        now = self._clock.now()
        if key is None or _end(key) <= now:
            if len(self._unknown) >= _MOST_UNKNOWN:
                del self._unknown[next(iter(self._unknown))]
            self._unknown.pop(digest, None)
            self._unknown[digest] = self._clock.monotonic() + _UNKNOWN_S
            return None
        known = Known(Principal(key.tenant, key.id, key.scopes, key.rate), _end(key), now)
        known.noted_at = key.last_used_at or 0
        self._known[digest] = known
        return known


def _end(key: Key) -> int:
    return NEVER if key.expires_at is None else key.expires_at


def _parts(items: list[tuple[K, Known]]) -> Iterator[dict[K, Known]]:
    for start in range(0, len(items), _AT_ONCE):
        yield dict(items[start : start + _AT_ONCE])
