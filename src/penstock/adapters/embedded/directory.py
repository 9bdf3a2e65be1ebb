"""The data directory: made once, locked against a second process, with the keys in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from penstock.errors import ConfigurationError
from penstock.ports.entropy import Entropy

_SECRET_BITS: Final = 256
_KEY_BITS: Final = 160
_KEY_PREFIX: Final = "penstock_"
_LEAST_KEY: Final = 16
_SECRET_LENGTHS: Final = range(16, 65)


class DataDirectory:
    """Owns the directory from construction to `release`.

    Raises `ConfigurationError`, with a sentence, where it cannot be used or is in use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"The data directory {path} cannot be used: {error}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise ConfigurationError(
                f"The data directory {path} is in use by another Penstock process."
            ) from None

    def release(self) -> None:
        os.close(self._lock)

    def secret(self, given: str | None, entropy: Entropy) -> bytes:
        """What receipts are signed with: as configured, else as kept here, else made now."""
        if given is not None:
            return checked_secret(given)
        text, _ = self._kept("secret", f"{entropy.bits(_SECRET_BITS):064x}")
        return text.encode()

    def admin_key(self, given: str | None, entropy: Entropy) -> tuple[str, bool]:
        """The admin key, and whether it was made just now."""
        if given is not None:
            return checked_admin_key(given), False
        return self._kept("admin-key", f"{_KEY_PREFIX}{entropy.bits(_KEY_BITS):040x}")

    def _kept(self, name: str, fresh: str) -> tuple[str, bool]:
        """What the file holds; where there is none, it is made, to hold `fresh`."""
        path = self.path / name
        if path.exists():
            return path.read_text().strip(), False
        # Written aside and renamed: a crash must not leave half a key behind.
        aside = self.path / f"{name}.new"
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(fresh + "\n")
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
        return fresh, True


def checked_secret(given: str) -> bytes:
    """As it is used. Raises `ConfigurationError`."""
    if len(given.encode()) not in _SECRET_LENGTHS:
        raise ConfigurationError("PENSTOCK_SECRET must be 16 to 64 bytes.")
    return given.encode()


def checked_admin_key(given: str) -> str:
    """Itself. Raises `ConfigurationError`."""
    if len(given) < _LEAST_KEY:
        raise ConfigurationError(f"PENSTOCK_ADMIN_KEY must be at least {_LEAST_KEY} characters.")
    return given
