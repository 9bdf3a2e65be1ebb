"""Defects, to be injected and mended.

One in the fold: entries with poison in their data raise. One in reads: ids with poison in them do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from penstock.apply import quarantine, step
from penstock.apply.fold import fold, fold_new
from penstock.query.fetch import Fetch
from penstock.records.operation import Entry

POISON: Final = {"poison": True}
REASON: Final = "ZeroDivisionError: a defect"


def _raising(real: Callable[..., Any], entries_of: Callable[..., Sequence[Entry]]) -> Any:
    def folding(*arguments: Any) -> Any:
        for entry in entries_of(*arguments):
            if b"poison" in entry.operation.data:
                raise ZeroDivisionError("a defect")
        return real(*arguments)

    return folding


@contextmanager
def a_defect() -> Iterator[None]:
    """While it is entered, this process cannot fold what is poisoned."""
    with (
        patch.object(step, "fold", _raising(fold, _of_fold)),
        patch.object(step, "fold_new", _raising(fold_new, _of_fold_new)),
        patch.object(quarantine, "fold", _raising(fold, _of_fold)),
    ):
        yield


@contextmanager
def a_failing_read() -> Iterator[None]:
    """While it is entered, this process cannot read by an id that is poisoned."""
    real = Fetch.one

    async def one(self: Fetch, target: Any, record_id: str, *rest: Any, **more: Any) -> Any:
        if "poison" in record_id:
            raise ZeroDivisionError(f"a defect, met at {record_id}\n{record_id}")
        return await real(self, target, record_id, *rest, **more)

    with patch.object(Fetch, "one", one):
        yield


def _of_fold(_before: object, entries: Sequence[Entry], *_rest: object) -> Sequence[Entry]:
    # What was folded before is passed over, whatever it is.
    fence = getattr(_before, "fence", "")
    return [entry for entry in entries if entry.position > fence]


def _of_fold_new(entry: Entry, *_rest: object) -> Sequence[Entry]:
    return [entry]
