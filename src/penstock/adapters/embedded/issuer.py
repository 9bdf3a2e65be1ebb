"""The keys of an issuer in a file that somebody else keeps up to date."""

from __future__ import annotations

import asyncio
from pathlib import Path

from penstock.errors import Unavailable
from penstock.records.token import Published, key_set


class FileIssuer:
    """`ports.issuer.Issuer` by a JSON Web Key Set in a file, read each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def keys(self) -> Published:
        try:
            return key_set(await asyncio.to_thread(self._path.read_bytes))
        except (OSError, ValueError) as error:
            raise Unavailable("issuer_unavailable", retry_after=1, internal=str(error)) from error

    async def close(self) -> None:
        """Nothing is open."""
