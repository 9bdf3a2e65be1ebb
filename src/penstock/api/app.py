"""The application: from an ASGI request to a route, and from whatever comes of it to an answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from penstock.access import Principal, Vouchers
from penstock.api import guide, openapi, problem
from penstock.api.asgi import ClientGone, Receive, Scope, Send
from penstock.api.cors import Cors
from penstock.api.deadline import Deadlines
from penstock.api.forwarded import Proxies
from penstock.api.gate import Gate
from penstock.api.headers import adopted_request_id, scan, timeout_ms
from penstock.api.observed import Observed
from penstock.api.quota import declared_size
from penstock.api.request import (
    Request,
    Timing,
    query_parameters,
    shutting_down,
    target_of,
)
from penstock.api.response import Answer, Response
from penstock.api.route import METHODS, Route
from penstock.api.router import Place, Router
from penstock.api.routes import ROUTES
from penstock.api.sending import send_stream, send_whole
from penstock.api.services import Below, Ready, Services
from penstock.api.turns import Turns
from penstock.config import Configuration
from penstock.errors import MethodNotAllowed, NotFound, OutcomeUnknown, PenstockError
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy
from penstock.telemetry.logs import CURRENT, logger

if TYPE_CHECKING:  # loaded only where traces are asked for
    from penstock.telemetry.traces import Traces

_PREFIX_BITS: Final = 40

_log = logger("api")


class Application:
    """An ASGI 3 callable for HTTP.

    Args:
        below: the parts of the house below.
        clock, entropy, configuration: as everywhere.
        ready: says what is missing.
        routes: those that this process takes; the documents are of all.
        vouchers: reads who a request comes from where an API process passes them on to this one;
            without it, clients come themselves, with keys.
    """

    def __init__(
        self,
        below: Below,
        clock: Clock,
        entropy: Entropy,
        configuration: Configuration,
        ready: Ready,
        routes: Sequence[Route] = ROUTES,
        vouchers: Vouchers | None = None,
    ) -> None:
        self._services = Services(
            below.access,
            below.limits,
            below.ingest,
            below.query,
            below.quarantine,
            below.receipts,
            below.keys,
            below.metrics,
            below.traces,
            clock,
            configuration,
            ready,
            Turns(),
            openapi.answer(ROUTES),
            guide.answer(ROUTES),
        )
        self._access = below.access
        self._vouchers = vouchers
        self._meter = below.limits.meter
        self._most_bytes = configuration.max_body_bytes
        self._router = Router(routes)
        self._cors = Cors(configuration.cors_origins) if configuration.cors_origins else None
        self._proxies = Proxies(configuration.trusted_proxies)
        self.gate = Gate(self._router, configuration, f"{entropy.bits(_PREFIX_BITS):010x}")
        self._default_ms = configuration.deadline_ms
        self._most_ms = max(configuration.max_deadline_ms, configuration.deadline_ms)
        self._timing = Timing(clock, configuration.deadline_ms / 1000, configuration.idle_ms / 1000)
        self._deadlines = Deadlines(clock.monotonic)
        self._request_prefix = f"{entropy.bits(_PREFIX_BITS):010x}-"
        self._requests = itertools.count()
        names = (one.name for one in routes)
        self._observed = Observed(below.metrics, names, clock, configuration, self._client)
        self._observed.gate(self.gate)
        self._traces = below.traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "the server is told to offer HTTP only"
        headers = scan(scope["headers"])
        request_id = adopted_request_id(headers) or self.new_request_id()
        current = CURRENT.get()
        if current is not None:
            current.request_id = request_id
        request = Request(
            scope["method"],
            headers,
            request_id,
            receive,
            self._timing,
            self._deadlines,
            self.gate.holding,
        )
        if "waited" in scope:
            request.after(scope["waited"])
        status = 0
        self._observed.in_flight.value += 1
        try:
            if self._traces is None:
                status = await self._respond(scope, request, send)
            else:
                status = await self._traced(self._traces, scope, request, send)
        finally:
            self._observed.in_flight.value -= 1
            self._observed.ended(request, scope, status)
            if request.held:
                self.gate.holding.give(request.held)
            if request.is_metered_stream and request.meter is not None:
                request.meter.end_stream()
            if request.waits:
                scope["waits"] = True

    async def _traced(self, traces: Traces, scope: Scope, request: Request, send: Send) -> int:
        """As `_respond`, within a span, which is also what is passed on."""
        method = request.method
        with traces.request(method, request.headers.get(b"traceparent")) as span:
            ours = traces.current()
            if ours:
                request.headers = {**request.headers, b"traceparent": ours.encode()}
            status = await self._respond(scope, request, send)
            route = request.route
            traces.answered(span, method, None if route is None else route.pattern, status)
        return status

    async def _respond(self, scope: Scope, request: Request, send: Send) -> int:
        """Answer; returns the status, 0 where there was no one to answer."""
        try:
            answer = await self._answer(scope, request)
        except PenstockError as error:
            answer = self._problem(request, error, scope)
        except ClientGone:
            return 0
        except asyncio.CancelledError:
            # Only the server cancels, when a request outlasts the time given to it at a stop.
            unknown = request.guard.late is OutcomeUnknown
            answer = self._problem(request, OutcomeUnknown() if unknown else shutting_down(), scope)
        except Exception:  # noqa: BLE001  # because a defect of ours is answered too
            _log.exception(
                "request_failed",
                request_id=request.request_id,
                method=request.method,
                client=self._client(request, scope),
            )
            answer = self._problem(request, PenstockError("internal"), scope)
        if self._cors is not None:
            marks = self._cors.marks(request.headers)
            answer = answer._replace(headers=(*answer.headers, *marks))
        # A client that has gone is no one to send to; what was begun for it is put away.
        try:
            if isinstance(answer, Response):
                await send_whole(request, answer, send)
            else:
                await send_stream(request, answer, send)
        except ClientGone:
            return 0
        return answer.status

    def new_request_id(self) -> str:
        """One that no other process makes, and this one never again."""
        return f"{self._request_prefix}{next(self._requests):x}"

    def methods(self, path: bytes) -> tuple[str, ...]:
        """What the address at a raw path takes; where there is none, what any takes."""
        return _methods(self._router.find(path)[0])

    def refuse(self, error: PenstockError, headers: Sequence[tuple[bytes, bytes]] = ()) -> Response:
        """The answer to what is no request yet, or will not be; `headers` as they came."""
        self._observed.refused(error)
        request_id = adopted_request_id(scan(headers)) or self.new_request_id()
        return problem.answer(error, request_id, ((b"x-request-id", request_id.encode()),))

    async def _answer(self, scope: Scope, request: Request) -> Answer:
        request.path, request.raw_query = scope["raw_path"], scope["query_string"]
        place, request.arguments = self._router.find(request.path)
        if self._cors is not None and request.method == "OPTIONS":
            preflight = self._cors.preflight(request.headers, _methods(place))
            if preflight is not None:
                return preflight
        route = request.route = None if place is None else place.routes.get(request.method)
        if place is None or not place.public:
            await self._identify(request)
            self._admit(request, route)
        if route is None:
            return _without_route(place, request.method)
        given = request.headers.get(b"penstock-timeout")
        if given is not None:
            self._give(request, given, route)
        if request.raw_query:
            request.query = query_parameters(request.raw_query, route.query)
        if route.streams:
            return await route.handler(self._services, request)
        with request.guard:
            return await route.handler(self._services, request)

    def _give(self, request: Request, given: bytes, route: Route) -> None:
        """The time that a request asks for, as far as its route may take it."""
        asked_ms = timeout_ms(given, self._most_ms)
        # Who waits for longer than is usual is no sign of strain.
        request.waits = asked_ms > self._default_ms
        most_ms = self._most_ms if route.patient else self._default_ms
        request.give(min(asked_ms, most_ms) / 1000)

    async def _identify(self, request: Request) -> None:
        """Find out who the request comes from. Raises `Unauthenticated`, `Unavailable`."""
        if self._vouchers is not None:
            self._take_voucher(request, self._vouchers)
            return
        authorization = request.headers.get(b"authorization")
        request.principal = self._access.recall(authorization) or await self._authenticated(
            request, authorization
        )

    async def _authenticated(self, request: Request, authorization: bytes | None) -> Principal:
        """Whose a key is that is not known here yet."""
        with request.guard:
            return await self._access.authenticate(authorization)

    def _take_voucher(self, request: Request, vouchers: Vouchers) -> None:
        """Take from another process of ours who the request comes from. No key counts here."""
        given = request.headers.get(b"penstock-principal", b"")
        asked = b"%b %b" % (request.method.encode(), target_of(request))
        voucher = vouchers.read(given.decode("latin-1"), asked)
        request.principal, request.birth = voucher.principal, voucher.birth
        if voucher.seen is not None:
            self._access.seen(voucher.principal.tenant, voucher.seen)

    def _admit(self, request: Request, route: Route | None) -> None:
        """Raises `QuotaExceeded`. Who vouches for a request has counted it."""
        if self._vouchers is not None:
            return
        request.meter = meter = self._meter(request.principal)
        if meter is None:
            return
        size = declared_size(request.headers) if request.body_pending else 0
        # A stream is slowed down instead; what is too large will be refused for that.
        is_stream = route is not None and route.streams
        if size is None or size > self._most_bytes or is_stream:
            size = 0
        meter.admit(self._timing.clock.monotonic(), size)
        if is_stream:
            meter.begin_stream()
            request.is_metered_stream = True

    def _client(self, request: Request, scope: Scope) -> str:
        return self._proxies.client(scope.get("client", ""), request.headers)

    def _problem(self, request: Request, error: PenstockError, scope: Scope) -> Response:
        self._observed.problem(error.code)
        if error.internal:
            _log.warning(
                "request_refused",
                request_id=request.request_id,
                code=error.code,
                internal=error.internal,
                client=self._client(request, scope),
            )
        return problem.answer(error, request.request_id)


def _methods(place: Place | None) -> tuple[str, ...]:
    return METHODS if place is None else place.methods


def _without_route(place: Place | None, method: str) -> Response:
    """The answer to OPTIONS. Raises `NotFound`, `MethodNotAllowed` for other methods."""
    if method == "OPTIONS":
        return Response(204, ((b"allow", ", ".join(_methods(place)).encode()),))
    if place is None:
        raise NotFound("route_not_found")
    raise MethodNotAllowed(place.methods)
