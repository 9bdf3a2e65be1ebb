"""What is counted of requests, and what is logged of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from penstock.api.asgi import Scope
from penstock.api.gate import Gate
from penstock.api.problem import STATUS
from penstock.api.request import Request
from penstock.config import Configuration
from penstock.errors import CODES, PenstockError
from penstock.ports.clock import Clock
from penstock.telemetry.logs import logger
from penstock.telemetry.metrics import Metrics
from penstock.telemetry.series import Counter, Histogram

NO_ROUTE: Final = "none"
_STATUSES: Final = ("gone", "1xx", "2xx", "3xx", "4xx", "5xx")
_UNAVAILABLE: Final = 503
_SLOW_EVERY_S: Final = 0.1
"""A slow request is logged so often at most: where all are slow, lines make them slower."""

_log = logger("api")


class _Cells(NamedTuple):
    """Of one route; the answers by class of status, 0 for clients that are gone."""

    seconds: Histogram
    answers: list[Counter]


class Observed:
    """Counts requests: a microsecond for each, with the time taken of it.

    Attributes:
        in_flight: requests that are being answered.
    """

    def __init__(
        self,
        metrics: Metrics,
        routes: Iterable[str],
        clock: Clock,
        configuration: Configuration,
        client: Callable[[Request, Scope], str],
    ) -> None:
        role = metrics.role
        self._metrics = metrics
        self._client = client
        self.in_flight = metrics.requests_in_flight.of(role)
        self._monotonic = clock.monotonic
        self._routes = {
            name: _Cells(
                metrics.request_seconds.of(role, name),
                [metrics.answers.of(role, name, status) for status in _STATUSES],
            )
            for name in (*routes, NO_ROUTE)
        }
        self._problems = {code: metrics.problems.of(role, code) for code in CODES}
        self._slow_s = configuration.slow_request_ms / 1000
        self._logs_all = configuration.access_log
        self._quiet_until = 0.0
        self._left_out = 0

    def gate(self, gate: Gate) -> None:
        """Have what stands in the gate read when it is asked for."""
        metrics, role = self._metrics, self._metrics.role
        for budget, limit in gate.limits.items():
            labels = role, budget.value
            metrics.shed.of(*labels).follow(_attribute(limit, "refused"))
            metrics.admitted.of(*labels).follow(_attribute(limit, "in_hand"))
            metrics.allowed.of(*labels).follow(_attribute(limit, "allowed"))
        metrics.bodies_bytes.of(role).follow(lambda: gate.holding.used)
        # Those are answered in the gate itself.
        overloaded, answers = self._problems["overloaded"], self._routes[NO_ROUTE].answers
        overloaded.follow(lambda: gate.short.turned_away)
        answers[_UNAVAILABLE // 100].follow(lambda: gate.short.turned_away)

    def refused(self, error: PenstockError) -> None:
        """What was no request, or will not be one, has its answer."""
        self.problem(error.code)
        self._routes[NO_ROUTE].answers[STATUS[error.code] // 100].value += 1

    def problem(self, code: str) -> None:
        """One was answered."""
        self._problems[code].value += 1

    def ended(self, request: Request, scope: Scope, status: int) -> None:
        """A request has its answer, or, with status 0, nobody to answer to."""
        taken = self._monotonic() - request.began
        route = request.route
        cells = self._routes[NO_ROUTE if route is None else route.name]
        cells.seconds.note(taken)
        cells.answers[status // 100].value += 1
        if self._logs_all:
            self._tell(_log.info, "request", request, scope, status, taken)
        elif taken > self._slow_s and route is not None and not route.streams:
            self._slow(request, scope, status, taken)

    def _slow(self, request: Request, scope: Scope, status: int, taken: float) -> None:
        now = self._monotonic()
        if now < self._quiet_until:
            self._left_out += 1
            return
        self._quiet_until = now + _SLOW_EVERY_S
        self._tell(
            _log.warning, "slow_request", request, scope, status, taken, left_out=self._left_out
        )
        self._left_out = 0

    def _tell(
        self,
        log: Callable[..., None],
        event: str,
        request: Request,
        scope: Scope,
        status: int,
        taken: float,
        **more: int,
    ) -> None:
        """A line; of the address it has the route's name, since what it holds is the client's."""
        route = request.route
        # Where no key is needed, nobody has looked for one.
        principal = getattr(request, "principal", None)
        log(
            event,
            method=request.method,
            route=NO_ROUTE if route is None else route.name,
            status=status,
            ms=round(1000 * taken, 1),
            tenant=None if principal is None else principal.tenant,
            key_id=None if principal is None else principal.key_id,
            client=self._client(request, scope),
            request_id=request.request_id,
            **more,
        )


def _attribute(of: object, name: str) -> Callable[[], float]:
    return lambda: getattr(of, name)
