"""A field of a record, as filters, sorts, indexes and projections name it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import msgspec

_MOST_STEPS: Final = 16
_MOST_BYTES: Final = 200
_OWN: Final = frozenset(("id", "created_at", "updated_at"))
_TIMES: Final = frozenset(("created_at", "updated_at"))
_DATA: Final = "data."
# Not: what a path cannot hold or quote, what a step of MongoDB's or SQLite's would mean otherwise.
_NAME: Final = re.compile(r"(?![0-9]+$)(?!\$)[^.\"\\\x00-\x1f\x7f]+")

Scalar = None | bool | int | float | str


class Field(msgspec.Struct, frozen=True, order=True):
    """A field.

    Attributes:
        text: as users write it: `id`, `created_at`, `updated_at` or `data.<name>.<name>…`.
        path: the names below `data`; empty for a field of the record itself.
    """

    text: str
    path: tuple[str, ...] = ()

    @property
    def is_time(self) -> bool:
        """Whether its values are moments, in ms since 1970."""
        return self.text in _TIMES

    def of(self, data: Any) -> Any:
        """What stands there in decoded data; None where nothing does, or behind an array."""
        for name in self.path:
            if type(data) is not dict:
                return None
            data = data.get(name)
        return data


ID: Final = Field("id")


@lru_cache(maxsize=4096)
def field(text: str) -> Field:
    """The field of a text. Raises ValueError with a sentence."""
    if text in _OWN:
        return Field(text)
    if not text.startswith(_DATA):
        raise ValueError(f"A field is id, created_at, updated_at or data.<name>: not {_cut(text)}.")
    path = tuple(text.removeprefix(_DATA).split("."))
    if len(path) > _MOST_STEPS or len(text.encode()) > _MOST_BYTES:
        raise ValueError(f"A field has at most {_MOST_STEPS} names, and {_MOST_BYTES} bytes.")
    for name in path:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{_cut(text)} cannot be addressed: a name is not empty, not of digits only, does"
                " not begin with $, and has no quote, backslash or control character."
            )
    return Field(text, path)


def _cut(text: str) -> str:
    return repr(text[:100])
