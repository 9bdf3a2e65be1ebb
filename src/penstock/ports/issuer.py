"""The issuer of tokens (JWT), as far as it has to be known here: the keys that it signs with."""

from __future__ import annotations

from typing import Protocol

from penstock.records.token import Published


class Issuer(Protocol):
    """Where the issuer's public keys are published."""

    async def keys(self) -> Published:
        """The keys as they are now. Blocks no event loop, and ends within seconds.

        Raises `Unavailable` (`issuer_unavailable`) where they cannot be had, or are no key set.
        """
        ...

    async def close(self) -> None: ...
