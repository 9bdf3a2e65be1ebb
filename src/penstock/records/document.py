"""Users' JSON: decoding it strictly, bounding it, and writing it in the one canonical way.

A record must survive every engine and every client unchanged, so what some of them would alter or
refuse is refused at the door: duplicate names, numbers beyond a double or a signed 64-bit integer,
lone surrogates, names with NUL, deep nesting. The common document pays for a translation and three
substring searches; only one that looks suspicious is walked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import jiter
import msgspec

from penstock.errors import Fault, Malformed

MAX_DEPTH: Final = 64
"""Objects and arrays may nest this deep, the record itself being level 1."""

MAX_NAMES: Final = 10_000
"""Names in one document, counted over all its objects."""

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1

# Digits become 9, both exponent letters e, both opening brackets {, colons stay.
_SHAPE: Final = bytes.maketrans(b"0123456789eE[", b"9999999999ee{")
_LONG_NUMBER: Final = b"9" * 19
_LARGE_EXPONENT: Final = b"e999"
_NUL_ESCAPE: Final = b"\\u0000"

_PLACE: Final = re.compile(r" at line (\d+) column (\d+)$")
_DUPLICATE: Final = re.compile(r'^Detected duplicate key "?(.*?)"?$', re.DOTALL)

_decode_in_range: Final = msgspec.json.Decoder().decode

encode: Final = msgspec.json.Encoder().encode
"""The canonical encoding: compact, names in the order given, shortest round-trip floats."""


def decode(text: bytes, member: str | None = None, *, suspicious: bool = True) -> Any:
    """The value of a JSON text (RFC 8259, UTF-8, no BOM).

    Args:
        text: of the document; or, with `member`, of an envelope that holds it.
        member: the name in the envelope under which the document stands. The limits are those of
            the document alone, so that a record may be as deep in a bulk as by itself.
        suspicious: False where `suspicious_lines` has found that it is not.

    Raises `Malformed`: `malformed_json` with the byte offset where it ceases to be JSON,
    `invalid_record` with a pointer to each thing that a record cannot hold.
    """
    try:
        value = jiter.from_json(text, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise _refusal(text, str(error)) from None
    if suspicious and not _is_harmless(text):
        _check(value, 1 if member is None else 0)
    return value


def suspicious_lines(lines: Sequence[bytes]) -> list[bool]:
    """For each line, a document, whether it may hold what has to be looked for.

    For many small documents this is several times cheaper together than one by one.
    """
    whole = b"\n".join(lines)
    shapes = whole.translate(_SHAPE, b"+")
    if _NUL_ESCAPE in whole or _LONG_NUMBER in shapes or _LARGE_EXPONENT in shapes:
        return [not _is_harmless(line) for line in lines]
    most_braces, most_bytes = MAX_DEPTH, MAX_NAMES
    return [
        shape.count(b"{") > most_braces or len(shape) > most_bytes for shape in shapes.split(b"\n")
    ]


def _is_harmless(text: bytes) -> bool:
    """Whether there is nothing to look for after all, or it would only be in strings."""
    shape = text.translate(_SHAPE, b"+")
    return not (
        _LONG_NUMBER in shape
        or _NUL_ESCAPE in text
        or shape.count(b"{") > MAX_DEPTH
        or shape.count(b":") > MAX_NAMES
        or (_LARGE_EXPONENT in shape and not _in_range(text))
    )


def _in_range(text: bytes) -> bool:
    """Whether all numbers are doubles: identifiers in hexadecimal only look like large ones."""
    try:
        _decode_in_range(text)
    except msgspec.ValidationError:
        return False
    return True


def _check(value: Any, depth: int) -> None:
    walk = _Walk()
    walk.visit(value, "", depth)
    if walk.faults:
        raise Malformed("invalid_record", walk.faults[0].detail, faults=tuple(walk.faults))


def count_names(value: Any) -> int:
    """The names in a decoded document, over all its objects."""
    if isinstance(value, dict):
        return len(value) + sum(map(count_names, value.values()))
    return sum(map(count_names, value)) if isinstance(value, list) else 0


def escape(name: str) -> str:
    """A name as one token of a JSON pointer (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1")


class _Walk:
    """A walk over a decoded document; stops looking after `MOST` faults."""

    MOST: Final = 20

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.names = 0

    def visit(self, value: Any, pointer: str, depth: int) -> None:
        if len(self.faults) >= self.MOST:
            return
        if isinstance(value, dict):
            self._names(value, pointer)
            self._inside(((escape(name), item) for name, item in value.items()), pointer, depth)
        elif isinstance(value, list):
            self._inside(((str(index), item) for index, item in enumerate(value)), pointer, depth)
        elif isinstance(value, float) and not math.isfinite(value):
            self._fault(pointer, "The number is beyond the range of a double.")
        elif isinstance(value, int) and not _INT64_MIN <= value <= _INT64_MAX:
            self._fault(pointer, "The integer is outside signed 64-bit.")

    def _inside(self, items: Iterable[tuple[str, Any]], pointer: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            self._fault(pointer, f"The nesting is deeper than {MAX_DEPTH} levels.")
            return
        for token, item in items:
            self.visit(item, f"{pointer}/{token}", depth + 1)

    def _names(self, value: dict[str, Any], pointer: str) -> None:
        before, self.names = self.names, self.names + len(value)
        if before <= MAX_NAMES < self.names:
            self._fault(pointer, f"The document has more than {MAX_NAMES} names.")
        for name in value:
            if "\x00" in name:
                self._fault(pointer, "A name contains NUL.")

    def _fault(self, pointer: str, detail: str) -> None:
        self.faults.append(Fault(pointer, detail))


def _refusal(text: bytes, message: str) -> Malformed:
    """Jiter's complaint in our words, with the byte offset for its line and column."""
    found = _PLACE.search(message)
    reason = message[: found.start()] if found else message
    offset = _byte_offset(text, int(found[1]), int(found[2])) if found else 0
    if reason.startswith("EOF"):
        offset = len(text)
    duplicate = _DUPLICATE.match(reason)
    if duplicate:
        detail = f"A name stands twice in one object, again at byte {offset}."
        return Malformed("malformed_json", detail)
    if text.startswith(b"\xef\xbb\xbf"):
        return Malformed("malformed_json", "The body begins with a byte order mark, at byte 0.")
    if "recursion limit" in reason:
        detail = f"The nesting is deeper than {MAX_DEPTH} levels, at byte {offset}."
        return Malformed("invalid_record", detail, faults=(Fault("", detail),))
    return Malformed("malformed_json", f"Not JSON at byte {offset}: {reason}.")


def _byte_offset(text: bytes, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = text.index(b"\n", start) + 1
    return min(start + max(column - 1, 0), len(text))
