"""The certificate that the server shows, read again when its files change."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from cryptography import x509

from penstock.errors import ConfigurationError
from penstock.telemetry.logs import logger

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, those with forward secrecy and authentication; TLS 1.3 has no others."""

_Stamp = tuple[tuple[int, int, int] | None, ...]

_log = logger("api")


class Certificate:
    """A certificate and its key, in files that may be replaced at any time.

    Attributes:
        context: for the next connection.
    """

    def __init__(self, certificate: Path, key: Path | None) -> None:
        """Raises `ConfigurationError`, with a sentence, where the files cannot be used."""
        self._certificate = certificate
        self._key = key or certificate
        self._stamp = self._stamped()
        self.context = self._load()

    def refresh(self, *, forced: bool = False) -> None:
        """Read the files again where they have changed, or anyway where it is forced.

        Where they cannot be used, be it because only one of them has been replaced yet, what was
        read before stays.
        """
        stamp = self._stamped()
        if stamp == self._stamp and not forced:
            return
        self._stamp = stamp
        try:
            self.context = self._load()
        except ConfigurationError as error:
            _log.warning("certificate_kept", reason=str(error))

    def _stamped(self) -> _Stamp:
        return tuple(_stamp_of(path) for path in (self._certificate, self._key))

    def _load(self) -> ssl.SSLContext:
        chain, key = _read("CERT", self._certificate), _read("KEY", self._key)
        if b"ENCRYPTED" in key:
            raise ConfigurationError(
                f"PENSTOCK_TLS_KEY: the key in {self._key} is encrypted; give it without passphrase"
            )
        try:
            leaf = x509.load_pem_x509_certificate(chain)
        except ValueError:
            raise ConfigurationError(
                f"PENSTOCK_TLS_CERT: {self._certificate} does not begin with a PEM certificate"
            ) from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ConfigurationError(self._told(error)) from None
        _log.info("certificate_read", until=leaf.not_valid_after_utc.isoformat())
        return context

    def _told(self, error: Exception) -> str:
        reason = getattr(error, "reason", None)
        if reason == "KEY_VALUES_MISMATCH":
            return (
                f"PENSTOCK_TLS_KEY: the key in {self._key} is not that of the certificate in "
                f"{self._certificate}"
            )
        return (
            f"PENSTOCK_TLS_KEY: {self._key} holds no PEM key that can be used ({reason or error})"
        )


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"PENSTOCK_TLS_{name}: cannot read {path}: {error.strerror}"
        ) from None
