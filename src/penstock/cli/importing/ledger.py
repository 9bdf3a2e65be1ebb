"""What of a file is done, kept beside it: an import that is interrupted goes on there."""

from __future__ import annotations

from pathlib import Path

import msgspec

from penstock.cli.exits import Exit, Failed
from penstock.cli.importing.choices import Choices


class Done(msgspec.Struct):
    """What is kept.

    Attributes:
        run: begins the idempotency key of each batch.
        source: the fingerprint of the file.
        choices: how it was read.
        batches: how many are done.
        lines, accepted, refused: in these.
        refused_bytes: size of the file of refused lines after them.
    """

    run: str
    source: str
    choices: Choices
    batches: int = 0
    lines: int = 0
    accepted: int = 0
    refused: int = 0
    refused_bytes: int = 0


class Ledger:
    """Keeps a `Done` in a file, or nowhere where `path` is None.

    It is written after each batch. A batch that was sent and not yet noted is sent again, under the
    same key.
    """

    def __init__(self, path: Path | None, fresh: Done) -> None:
        self._path = path
        self.done = fresh

    @property
    def kept(self) -> bool:
        """Whether another run can go on here."""
        return self._path is not None

    def resume(self) -> bool:
        """Go on where an earlier run stopped; False where there was none.

        Raises `Failed` where that was about something else.
        """
        found = self._found()
        if found is None:
            return False
        if found.source != self.done.source:
            raise Failed(_REFUSAL.format("the file is another"), Exit.USAGE)
        if found.choices != self.done.choices:
            raise Failed(_REFUSAL.format("the options or the collection are others"), Exit.USAGE)
        self.done = found
        return True

    def save(self) -> None:
        if self._path is not None:
            part = self._path.with_name(f"{self._path.name}.part")
            part.write_bytes(msgspec.json.encode(self.done))
            part.replace(self._path)

    def remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _found(self) -> Done | None:
        if self._path is None:
            return None
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Done)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            raise Failed(
                f"{self._path} is not what an import left; remove it, or give --restart", Exit.USAGE
            ) from None


_REFUSAL = (
    "an import of this file was interrupted, and {} now; --restart imports it from the beginning"
)
