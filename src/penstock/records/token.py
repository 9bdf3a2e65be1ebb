"""JSON Web Key Sets (RFC 7517): the public keys that tokens are verified by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

Published = Sequence[Mapping[str, Any]]
"""Keys as their issuer publishes them, whatever they may be good for."""


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


_decode: Final = msgspec.json.Decoder(_KeySet).decode


def key_set(text: bytes) -> Published:
    """The keys of a set. Raises ValueError for what is none."""
    try:
        return _decode(text).keys
    except msgspec.DecodeError as error:
        raise ValueError(f"this is no JSON Web Key Set: {error}") from None
