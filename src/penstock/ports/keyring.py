"""The keyring: which API keys there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from penstock.records.key import Key


class Keyring(Protocol):
    """The API keys of all tenants, durable when a method returns.

    Laws, held by every adapter (`tests/contract/keyring_laws.py`): what a method returned is seen
    by every later call, also by another process's; a key that was revoked does not come back, not
    by what was under way when it was; of the time of last use, the latest stays. A key that
    expired more than `EXPIRED_KEPT_MS` ago may be gone.

    Every method raises `Unavailable` (`store_unavailable`) where the keyring cannot be reached.
    """

    async def put(self, key: Key) -> None:
        """Keep a new key, whose id and digest are those of no other."""
        ...

    async def find(self, digests: Sequence[bytes]) -> Mapping[bytes, Key]:
        """The keys with these digests, of whichever tenant, also expired ones, by digest."""
        ...

    async def get(self, tenant: str, key_id: str) -> Key | None: ...

    async def list(self, tenant: str, after: str, limit: int) -> Sequence[Key]:
        """A tenant's keys with ids above `after`, by id; at most `limit`."""
        ...

    async def revoke(self, tenant: str, key_id: str) -> Key | None:
        """Remove a key; returns it as it was, None where there was none."""
        ...

    async def rotate(self, key_id: str, key: Key, until: int) -> Key | None:
        """Keep a new key in the place of another one of its tenant.

        That one gets `replaced_by`, and expires at `until` (ms since 1970), or earlier where it
        was to. Returns it as it is then; None, and nothing is kept, where there is none.
        """
        ...

    async def touch(self, used: Mapping[str, int]) -> None:
        """Note when keys, by id, were last used (ms since 1970). Those that are gone stay so."""
        ...

    async def close(self) -> None: ...
