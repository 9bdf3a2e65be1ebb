"""Users' field names as MongoDB takes them.

MongoDB stores names with dots and empty ones as they are. A name that begins with `$` it takes in
some places and not in others, and the driver reads `{"$ref": ...}` as a reference: so such a name
stands there with a fullwidth dollar sign before it. A name that begins with one of these gets
another, so that what is read back is what was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

_DOLLAR: Final = "$"
_MARK: Final = "\uff04"
_QUOTED_DOLLAR: Final = b'"$'
_QUOTED_MARK: Final = b'"' + _MARK.encode()


def escape(value: Any, text: bytes) -> Any:
    """A JSON value with names that MongoDB takes.

    Args:
        value: decoded.
        text: the canonical JSON of it, in which nearly every time nothing is found to escape.
    """
    if _QUOTED_DOLLAR in text or _QUOTED_MARK in text:
        return _renamed(value, _escaped)
    return value


def needs_unescape(text: bytes) -> bool:
    """Whether the canonical JSON of a stored value may have escaped names."""
    return _QUOTED_MARK in text


def unescape(value: Any) -> Any:
    """What `escape` was given."""
    return _renamed(value, _unescaped)


def stored_name(name: str) -> str:
    """A name as it stands in MongoDB."""
    return _escaped(name)


def _escaped(name: str) -> str:
    return _MARK + name if name.startswith((_DOLLAR, _MARK)) else name


def _unescaped(name: str) -> str:
    return name.removeprefix(_MARK)


def _renamed(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {rename(name): _renamed(item, rename) for name, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, rename) for item in value]
    return value
