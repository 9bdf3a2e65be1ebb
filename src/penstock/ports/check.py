"""The check of an engine: what is there, and whether it does what the house needs of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

_TOLERATED_MS: Final = 1_000
_GRAVE_MS: Final = 60_000


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Finding(NamedTuple):
    """One thing that was looked at, or done.

    Attributes:
        subject: what it is about, in a few words.
        found: what is there, or what came of it.
        level: a failure is what Penstock cannot work with, or not keep its promises with.
        problem: what follows from it and what to do; empty where nothing is wrong.
    """

    subject: str
    found: str
    level: Level = Level.OK
    problem: str = ""


class Check(Protocol):
    """Looks at one engine, and does with it each thing that the house needs of it.

    Laws, held by every adapter (`tests/servers/test_check.py`):

    - What is wrong with the engine is a finding, never an exception: also that it does not answer.
    - Nothing that the house keeps there is read or changed, and what is made for a trial is gone
      when the generator has ended or was closed.
    - Each step ends within seconds; whoever iterates sets a limit to the whole.
    """

    def findings(self) -> AsyncGenerator[Finding, None]:
        """In an order to be read in; the first says whether the engine answers."""
        ...


def ok(subject: str, found: str) -> Finding:
    return Finding(subject, found)


def warning(subject: str, found: str, problem: str) -> Finding:
    return Finding(subject, found, Level.WARNING, problem)


def failure(subject: str, found: str, problem: str) -> Finding:
    return Finding(subject, found, Level.FAILURE, problem)


def clock_skew(before: int, theirs: int, after: int) -> Finding:
    """What an engine's clock shows beside ours.

    Args:
        before: ms since 1970 by our clock, before the engine was asked.
        theirs: ms since 1970 by the engine's clock.
        after: ms since 1970 by our clock, when it had answered.
    """
    skew = min(theirs - before, 0) or max(theirs - after, 0)
    if not skew:
        return ok("clock", "agrees with ours, as far as an answer's time can tell")
    found = f"{abs(skew)} ms {'ahead of' if skew > 0 else 'behind'} ours"
    if abs(skew) <= _TOLERATED_MS:
        return ok("clock", found)
    problem = (
        "Records expire at the wrong time by that much, and the apply lag is measured wrong: "
        "have all machines follow the same time servers (NTP)."
    )
    return (failure if abs(skew) > _GRAVE_MS else warning)("clock", found, problem)
