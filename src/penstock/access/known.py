"""What was found valid, and is not asked for again with each request."""

from __future__ import annotations

from typing import Final

from penstock.access.principal import Principal

NEVER: Final = 2**63
"""Later than any time, in ms since 1970."""


class Known:
    """A credential that was found valid.

    Attributes:
        principal: whose it is.
        expires_at: ms since 1970, from when on it is not valid.
        was_used: whether since that was last looked at.
        used_at, noted_at: ms since 1970: when it was last used, and when that was last written.
    """

    __slots__ = ("expires_at", "noted_at", "principal", "used_at", "was_used")

    def __init__(self, principal: Principal, expires_at: int, now: int) -> None:
        self.principal = principal
        self.expires_at = expires_at
        self.was_used = True
        self.used_at = now
        self.noted_at = 0
