"""The keys of an issuer, where it publishes them on the web.

This is the one adapter that speaks HTTP: that is how an OpenID provider is asked.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from penstock.errors import ConfigurationError, Unavailable
from penstock.records.token import Published, key_set

_TIMEOUT_S: Final = 5.0
_LIMIT_S: Final = 10.0
"""For all of it, however slowly it drips in."""
_MOST_BYTES: Final = 1024 * 1024
_HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_WELL_KNOWN: Final = "/.well-known/openid-configuration"


class _Provider(msgspec.Struct):
    """What is needed of an OpenID provider's metadata (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    jwks_uri: str


_decode: Final = msgspec.json.Decoder(_Provider).decode


class WebIssuer:
    """`ports.issuer.Issuer` over HTTP. It belongs to the event loop that first uses it.

    Args:
        issuer: its identifier, a URL.
        jwks_url: where its keys are; None for what its metadata say.

    Raises `ConfigurationError` for a URL that is not https, but on this very machine: who can
    change the keys on their way can make tokens.
    """

    def __init__(self, issuer: str, jwks_url: str | None) -> None:
        for url in (issuer, jwks_url):
            if url is not None and not _is_safe(url):
                raise ConfigurationError(f"{url} is not an https:// address.")
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._client: httpx.AsyncClient | None = None

    async def keys(self) -> Published:
        try:
            async with asyncio.timeout(_LIMIT_S):
                return key_set(await self._get(self._jwks_url or await self._discovered()))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            internal = f"the keys of {self._issuer} cannot be had: {error!r}"
            raise Unavailable("issuer_unavailable", retry_after=1, internal=internal) from error

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _discovered(self) -> str:
        """The address of the keys, as the provider has it now. Raises ValueError."""
        text = await self._get(self._issuer.rstrip("/") + _WELL_KNOWN)
        try:
            provider = _decode(text)
        except msgspec.DecodeError as error:
            raise ValueError(f"these are no provider metadata: {error}") from None
        if provider.issuer != self._issuer:
            raise ValueError(f"these are the metadata of another issuer, {provider.issuer[:200]!r}")
        if not _is_safe(provider.jwks_uri):
            raise ValueError("the keys are not at an https:// address")
        return provider.jwks_uri

    async def _get(self, url: str) -> bytes:
        """What is there, up to a limit. Raises httpx's errors, and ValueError."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=_TIMEOUT_S)
        async with self._client.stream("GET", url) as answer:
            if answer.status_code != httpx.codes.OK:
                raise ValueError(f"{url} answers {answer.status_code}")
            body = bytearray()
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > _MOST_BYTES:
                    raise ValueError(f"{url} answers more than {_MOST_BYTES} bytes")
        return bytes(body)


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE)
