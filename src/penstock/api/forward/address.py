"""Where services are: by name, as they are configured, and by address, as they are connected to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from penstock.errors import ConfigurationError


class Address(NamedTuple):
    """Of one process.

    Attributes:
        ip, port: to connect to.
        name: as it was configured; over TLS, the certificate has to be for it.
        tls: None for plain HTTP.
    """

    ip: str
    port: int
    name: str
    tls: ssl.SSLContext | None

    @property
    def options(self) -> dict[str, Any]:
        """Those of asyncio for connecting."""
        return {} if self.tls is None else {"ssl": self.tls, "server_hostname": self.name}


class Place(NamedTuple):
    """A name, which may stand for several processes."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    async def addresses(self) -> set[Address]:
        """Those that it stands for at the moment. Raises OSError."""
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return {Address(str(info[4][0]), self.port, self.host, self.tls) for info in infos}


def places(setting: str, text: str) -> list[Place]:
    """`http://host:port,…`, or `https://`. Raises `ConfigurationError`: `setting` is wrong.

    Who may sign the certificates are the system's authorities, or those in SSL_CERT_FILE.
    """
    parts = [part.strip() for part in text.split(",")]
    secure = any(part.startswith("https://") for part in parts)
    tls = ssl.create_default_context() if secure else None
    return [_place(setting, part, tls) for part in parts]


def _place(setting: str, text: str, tls: ssl.SSLContext | None) -> Place:
    scheme, _, rest = text.rstrip("/").partition("://")
    try:
        url = urlsplit(f"//{rest}")
        host, port = url.hostname, url.port
        bare = rest == url.netloc and "@" not in rest
    except ValueError:
        host, port, bare = None, None, False
    if not (host and port and bare) or scheme not in ("http", "https"):
        raise ConfigurationError(f"{setting}: {text[:100]!r} is not http(s)://host:port")
    return Place(host, port, tls if scheme == "https" else None)
