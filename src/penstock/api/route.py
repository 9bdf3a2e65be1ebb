"""What a route is: how it is found, what it takes and answers, and what the documents say of it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from penstock.api.admission import Budget
from penstock.api.request import Request
from penstock.api.response import Answer
from penstock.api.services import Services
from penstock.records.scope import Verb

Handler = Callable[[Services, Request], Awaitable[Answer]]

METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""All that some address here takes."""

JSON_TYPES: Final = ("application/json",)
PATCH_TYPES: Final = ("application/merge-patch+json", "application/json")
LINE_TYPES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")

_VARIABLE: Final = re.compile(r"{(\w+)}").findall


class Role(StrEnum):
    """Which service a route belongs to, where it is not all in one process; see `docs/roles.md`."""

    API = "api"
    INGEST = "ingest"
    QUERY = "query"


class Parameter(NamedTuple):
    """A parameter: where it stands, its JSON Schema, and a sentence."""

    name: str
    where: Literal["path", "query", "header"]
    schema: dict[str, Any]
    description: str


class Body(NamedTuple):
    """A request body: its media types, the first being the usual one, and its type.

    Where the media types are those of lines, the type is that of a line. Any body may be gzip or
    zstd; that is not listed as a parameter, for it says nothing about what is asked for.
    """

    media: tuple[str, ...]
    type: Any
    description: str
    example: Any = None


class Reply(NamedTuple):
    """A way in which a route answers, other than with a problem.

    `type` is the type of the body, or a tuple of those that its lines may have.
    """

    status: int
    description: str
    type: Any = None
    media: str = "application/json"
    headers: tuple[str, ...] = ()


_BUDGETS: Final = {
    Verb.READ: Budget.READ,
    Verb.WRITE: Budget.WRITE,
    Verb.ADMIN: Budget.QUERY,
}


@dataclass(frozen=True)
class Route:
    """A method at an address.

    Attributes:
        method, pattern: variable segments of the pattern stand in braces, a verb may stand behind.
        name: unique; the `operationId`.
        tag: the chapter it belongs to.
        summary, description: for the documents.
        parameters: but for those of the path.
        problems: the codes it may answer beyond those that follow from the rest.
        verb: what it does to its collection; see `records.scope`.
        role: the service it belongs to.
        public: needs no key.
        streams: is not under the deadline; see `response.Streamed`.
        patient: may be given more time than is usual.
        counts_as: what it counts for; None for what follows from the rest.
    """

    method: str
    pattern: str
    handler: Handler
    name: str
    tag: str
    summary: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    replies: tuple[Reply, ...] = ()
    problems: tuple[str, ...] = ()
    verb: Verb = Verb.READ
    role: Role = Role.API
    public: bool = False
    streams: bool = False
    patient: bool = False
    counts_as: Budget | None = None

    @property
    def places(self) -> tuple[str, ...]:
        """The names of the variable segments."""
        return tuple(_VARIABLE(self.pattern))

    @cached_property
    def budget(self) -> Budget:
        """What it counts for."""
        if self.counts_as is not None:
            return self.counts_as
        if self.streams:
            return Budget.STREAM
        return _BUDGETS[self.verb]

    @cached_property
    def media(self) -> frozenset[bytes]:
        """The media types that its body may have."""
        return frozenset(one.encode() for one in self.body.media) if self.body else frozenset()

    @cached_property
    def query(self) -> frozenset[str]:
        """The names of its query parameters."""
        return frozenset(one.name for one in self.parameters if one.where == "query")
