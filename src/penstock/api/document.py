"""A decoded JSON document as one of our types."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from penstock.errors import Fault, Malformed
from penstock.records.document import escape

T = TypeVar("T")

_PLACE: Final = re.compile(r" - at `(.*)`$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


def convert(document: Any, kind: type[T], code: str) -> T:
    """The document as a `kind`. Raises `Malformed` with `code` and a pointer to what is wrong."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        message = str(error)
        place = _PLACE.search(message)
        sentence = message[: place.start()] if place else message
        pointer = _pointer(place[1]) if place else ""
        unknown = _UNKNOWN.search(sentence)
        if unknown:
            pointer += f"/{escape(unknown[1])}"
        raise Malformed(code, f"{sentence}.", faults=(Fault(pointer, f"{sentence}."),)) from None


def _pointer(path: str) -> str:
    """The JSON pointer of a path as msgspec writes it: `$.ids[0]`."""
    return "".join(f"/{escape(name or index)}" for name, index in _STEP.findall(path))
