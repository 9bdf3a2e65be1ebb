"""Traces: of a request, its appends, and the worker's writes far away from them.

The only importer of OpenTelemetry, and loaded only where traces are asked for. Where they go, and
how many of them, the standard OTEL_* variables say (OTLP over HTTP). Spans carry names of routes
and numbers, no values of anybody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_MOST_LINKS: Final = 64
_HEADER: Final = "traceparent"
_SERVER_ERROR: Final = 500

_propagator: Final = TraceContextTextMapPropagator()


class Traces:
    """The spans of one process.

    Args:
        role: what it does; its service is `penstock-<role>` unless OTEL_SERVICE_NAME has it.
        version: of Penstock.
        processor: takes the spans that have ended; without one, they are exported.
    """

    def __init__(self, role: str, version: str, processor: SpanProcessor | None = None) -> None:
        ours = Resource({"service.name": f"penstock-{role}", "service.version": version})
        # What the environment says goes above ours; `Resource.create` has it the other way round.
        resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("penstock", version)

    @contextmanager
    def request(self, method: str, traceparent: bytes | None) -> Iterator[Span]:
        """The span of a request, and around all that is done for it.

        Args:
            method: of the request.
            traceparent: the header of W3C Trace Context; a malformed one counts as none.
        """
        with self._tracer.start_as_current_span(
            method,
            _context("" if traceparent is None else traceparent.decode("latin-1")),
            SpanKind.SERVER,
            {"http.request.method": method},
            record_exception=False,
        ) as span:
            yield span

    @staticmethod
    def answered(span: Span, method: str, route: str | None, status: int) -> None:
        """What came of a request; `route` is the pattern of its address."""
        if route is not None:
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_ERROR:
            span.set_status(StatusCode.ERROR)

    @contextmanager
    def append(self, count: int) -> Iterator[str]:
        """Around an append; gives the `traceparent` that goes into the log with it.

        Empty where nobody records this trace.
        """
        with self._tracer.start_as_current_span(
            "append",
            kind=SpanKind.PRODUCER,
            attributes={"penstock.entries": count},
            record_exception=False,
        ) as span:
            yield _traceparent(span)

    @contextmanager
    def apply(self, traceparents: Iterable[str], count: int) -> Iterator[None]:
        """Around the worker's write of `count` entries.

        Linked to their appends, `_MOST_LINKS` of them. Where all are of one trace, it is a part of
        it; where none was recorded, nor is this.
        """
        known = _distinct(traceparents)
        links = [Link(one) for one in known]
        if not links:
            yield
            return
        is_one_trace = len({one.trace_id for one in known}) == 1
        around = set_span_in_context(NonRecordingSpan(known[0]), Context())
        span = self._tracer.start_span(
            "apply",
            around if is_one_trace else Context(),
            SpanKind.CONSUMER,
            {"penstock.entries": count},
            links,
        )
        with use_span(span, end_on_exit=True, record_exception=False):
            yield

    @staticmethod
    def current() -> str:
        """The `traceparent` of what is done now; empty where nobody records it."""
        return _traceparent(get_current_span())

    @staticmethod
    def current_id() -> str | None:
        """The id of the trace around, for the log."""
        context = get_current_span().get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid else None

    def close(self) -> None:
        """Export what there is. Blocks."""
        self._provider.shutdown()


def _context(traceparent: str) -> Context:
    return _propagator.extract({_HEADER: traceparent}, Context())


def _distinct(traceparents: Iterable[str]) -> list[SpanContext]:
    """The first `_MOST_LINKS` different spans; what is malformed is left out."""
    found: dict[str, SpanContext] = {}
    for one in traceparents:
        if one and one not in found:
            context = get_current_span(_context(one)).get_span_context()
            if context.is_valid:
                found[one] = context
                if len(found) == _MOST_LINKS:
                    break
    return list(found.values())


def _traceparent(span: Span) -> str:
    if not span.is_recording():
        return ""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, set_span_in_context(span, Context()))
    return carrier[_HEADER]
