"""What a caller may do, to which collections, and how much of it."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final

import msgspec

_PATTERN: Final = re.compile(r"[a-z0-9_*-]{1,63}")

PerSecond = Annotated[float, msgspec.Meta(ge=0.001, le=1e12)]


class Verb(StrEnum):
    """What is done to a collection. None of them includes another.

    `ADMIN` is its settings, its dead letters, and dropping it; on all collections, also the keys.
    """

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A permission.

    Attributes:
        collections: names, of which each `*` stands for any run of characters.
        verbs: what may be done to them.
    """

    collections: str
    verbs: tuple[Verb, ...]

    def covers(self, verb: Verb, collection: str) -> bool:
        """Whether this may be done to a collection, or, of a pattern, to all that it stands for."""
        return verb in self.verbs and _fits(self.collections, collection)


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much a caller may ask for; None for as much as the installation grants by itself.

    Attributes:
        requests_per_second: of any kind.
        bytes_per_second: of bodies, those of requests and of answers.
    """

    requests_per_second: PerSecond | None = None
    bytes_per_second: PerSecond | None = None


EVERYTHING = (Scope("*", tuple(Verb)),)


def is_pattern(text: str) -> bool:
    """Whether this may stand for collections: 1 to 63 of what their names are made of, and `*`."""
    return _PATTERN.fullmatch(text) is not None


def scope_of(word: str) -> Scope:
    """The scope that a word such as `read:orders-*` or `read,write:*` means. Raises ValueError."""
    verbs, colon, collections = word.partition(":")
    if not colon or not is_pattern(collections):
        raise ValueError("A scope is verbs, a colon and collections, as in read,write:orders-*.")
    return Scope(collections, tuple(dict.fromkeys(Verb(verb) for verb in verbs.split(","))))


def _fits(pattern: str, name: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return first == name
    *middle, last = rest
    if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
        return False
    place, end = len(first), len(name) - len(last)
    for part in middle:
        place = name.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True
