"""A request as the handlers see it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from penstock.access import Meter, Principal
from penstock.api.asgi import Receive
from penstock.api.deadline import Deadlines
from penstock.api.headers import HeaderMap
from penstock.api.holding import Holding
from penstock.config import Configuration
from penstock.errors import DeadlineExceeded, Malformed, Refused, Unavailable
from penstock.ports.clock import Clock
from penstock.records.identifier import check_record_id
from penstock.records.operation import Birth

if TYPE_CHECKING:  # a route knows what a request is
    from penstock.api.route import Route

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}").fullmatch
_NET_S: Final = 0.02
"""How much below its deadline the net of a request hangs; see `deadline`."""


class Timing(NamedTuple):
    """How long a request may take: to be answered, and between two pieces of its body."""

    clock: Clock
    deadline_s: float
    idle_s: float


class Request:
    """One request.

    Attributes:
        method: in capitals.
        headers: see `headers.scan`.
        request_id: the caller's, or one of ours.
        principal: who it comes from; not to be looked at on public routes.
        meter: what the principal is held to; None for nothing.
        is_metered_stream: whether it counts there as a stream that goes on.
        birth: of a write that another process passed on: the ids that it was given there.
        arguments: the variable segments of the path, as they came.
        query: the query parameters, each known to the route and given once.
        path, raw_query: as they came.
        receive: ASGI's.
        route: where it goes; None where there is nothing.
        deadline: monotonic seconds by which it is to be answered.
        deadline_s: how long that takes, counted from when all of it has arrived.
        held: bytes of its body that were taken beyond what it declared.
        waited_s: how long ago all of it had arrived, when it began.
        waits: whether it waits for others, by its own wish.
        guard: the net under it; see `deadline`.
        subject: what it is about, for the audit log, where the path does not say it.
        body_pending: whether a body may still be on its way.
    """

    __slots__ = (
        "arguments",
        "birth",
        "body_pending",
        "deadline",
        "deadline_s",
        "guard",
        "headers",
        "held",
        "holding",
        "is_metered_stream",
        "meter",
        "method",
        "path",
        "principal",
        "query",
        "raw_query",
        "receive",
        "request_id",
        "route",
        "subject",
        "timing",
        "waited_s",
        "waits",
    )

    def __init__(
        self,
        method: str,
        headers: HeaderMap,
        request_id: str,
        receive: Receive,
        timing: Timing,
        deadlines: Deadlines,
        holding: Holding,
    ) -> None:
        self.method = method
        self.headers = headers
        self.request_id = request_id
        self.receive = receive
        self.timing = timing
        self.holding = holding
        self.held = 0
        self.waits = False
        self.waited_s = 0.0
        self.deadline_s = timing.deadline_s
        self.deadline = timing.clock.monotonic() + timing.deadline_s
        self.guard = deadlines.guard(self.deadline + _NET_S, DeadlineExceeded)
        self.body_pending = b"content-length" in headers or b"transfer-encoding" in headers
        self.path = self.raw_query = b""
        self.birth: Birth | None = None
        self.arguments: list[bytes] = []
        self.query: dict[str, str] = {}
        self.route: Route | None = None
        self.subject = ""
        self.principal: Principal
        self.meter: Meter | None = None
        self.is_metered_stream = False

    @property
    def collection(self) -> str:
        """The collection's name in the path, not yet checked. Raises `Malformed`."""
        return segment(self.arguments[0], "invalid_name")

    @property
    def record_id(self) -> str:
        """The record id in the path. Raises `Malformed` (`invalid_id`)."""
        return check_record_id(segment(self.arguments[1], "invalid_id"))

    @property
    def began(self) -> float:
        """Monotonic seconds since when it is us who are waited for."""
        return self.deadline - self.deadline_s

    def after(self, waited_s: float) -> None:
        """All of it had arrived so long before it began: its time has been running since."""
        self.waited_s = waited_s
        self.deadline -= waited_s
        self.guard.expires_at -= waited_s

    def give(self, seconds: float) -> None:
        """Let it be answered within so many seconds, counted as before."""
        self.deadline += seconds - self.deadline_s
        self.deadline_s = seconds
        self.guard.expires_at = self.deadline + _NET_S

    def hold(self, size: int) -> None:
        """More of its body is in hand than was declared. Raises `Unavailable` (`overloaded`)."""
        self.holding.take(size)
        self.held += size

    def await_body(self, patience_s: float) -> None:
        """From now on it is the client that is waited for."""
        self.guard.expires_at = self.timing.clock.monotonic() + patience_s
        self.guard.late = request_timeout

    def begin(self) -> None:
        """The body is there: from now on it is us who are waited for."""
        self.deadline = self.timing.clock.monotonic() + self.deadline_s - self.waited_s
        self.guard.expires_at = self.deadline + _NET_S
        self.guard.late = DeadlineExceeded


def target_of(request: Request) -> bytes:
    """The path and the query, as they came."""
    return b"%b?%b" % (request.path, request.raw_query) if request.raw_query else request.path


def request_timeout() -> Refused:
    return Refused("request_timeout")


def shutting_down() -> Unavailable:
    return Unavailable("shutting_down", retry_after=1)


def segment(raw: bytes, code: str) -> str:
    """A path segment, percent-decoded once as UTF-8. Raises `Malformed` with `code`."""
    if b"%" not in raw:
        return raw.decode("ascii")
    if not _BAD_ESCAPE(raw):
        try:
            return unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            pass
    raise Malformed(code, "The address holds a bad percent-escape, or is not UTF-8.")


def query_parameters(raw: bytes, known: frozenset[str]) -> dict[str, str]:
    """The query string's parameters. Raises `Malformed` for any that is unknown or repeated."""
    given: dict[str, str] = {}
    for pair in raw.split(b"&"):
        name_part, _, value_part = pair.partition(b"=")
        name, value = _form_decoded(name_part), _form_decoded(value_part)
        if name not in known:
            raise invalid_parameter(name, "is not known here")
        if name in given:
            raise invalid_parameter(name, "is given twice")
        given[name] = value
    return given


def page_size(request: Request, configuration: Configuration) -> int:
    """How many to put on a page. Raises `Malformed` (`invalid_parameter`)."""
    given = request.query.get("page_size")
    if given is None:
        return configuration.page_size
    most = configuration.max_page_size
    if not _NUMBER(given) or int(given) > most:
        raise invalid_parameter("page_size", f"is a whole number from 1 to {most}")
    return int(given)


def invalid_parameter(name: str, complaint: str) -> Malformed:
    return Malformed("invalid_parameter", f"The parameter {name[:100]!r} {complaint}.")


def _form_decoded(raw: bytes) -> str:
    if not _BAD_ESCAPE(raw):
        try:
            return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
        except UnicodeDecodeError:
            pass
    raise Malformed("invalid_parameter", "The query holds a bad percent-escape, or is not UTF-8.")
