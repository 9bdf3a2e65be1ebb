"""Signed, opaque text for receipts and page tokens: readable by us, changeable by no one."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

_TAG_BYTES: Final = 16


class Seal:
    """Keyed BLAKE2b (RFC 7693) over a payload, as unpadded base64url.

    Args:
        secret: the installation's secret, 16 to 64 bytes.
        purpose: at most 16 bytes; what is sealed for one purpose does not open for another.
    """

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        self._empty = hashlib.blake2b(key=secret, digest_size=_TAG_BYTES, person=purpose)

    def close(self, payload: bytes) -> str:
        return _text(self._tag(payload) + payload)

    def open(self, text: str) -> bytes:
        """The payload. Raises ValueError for anything that `close` did not make."""
        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raise ValueError("not sealed text") from None
        tag, payload = sealed[:_TAG_BYTES], sealed[_TAG_BYTES:]
        # The decoder skips foreign characters: only the exact text that we made may open.
        if not hmac.compare_digest(tag, self._tag(payload)) or _text(sealed) != text:
            raise ValueError("the seal does not hold")
        return payload

    def _tag(self, payload: bytes) -> bytes:
        tag = self._empty.copy()
        tag.update(payload)
        return tag.digest()


def _text(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed).rstrip(b"=").decode()
