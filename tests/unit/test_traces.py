"""Traces: one from the request through the log to the worker's write, and nothing when off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from tests.support.asgi import Client, application_of
from tests.support.house import House

from penstock.errors import ConfigurationError
from penstock.records.position import position
from penstock.telemetry.traces import Traces
from penstock.wiring import tracing

RECORDS = "/v1/collections/c/records"
JSON = ("content-type", "application/json")
LINES = ("content-type", "application/x-ndjson")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Traced:
    """A house that is traced, its worker not started, and the spans that have ended."""

    def __init__(self, house: House, exporter: InMemorySpanExporter) -> None:
        self.house = house
        self.client = Client(application_of(house))
        self._exporter = exporter

    async def spans(self, name: str, count: int = 1) -> list[ReadableSpan]:
        """Those of this name, once there are so many."""
        async with asyncio.timeout(10):
            while len(found := [one for one in self._all if one.name == name]) < count:  # noqa: ASYNC110  # spans end without a word
                await asyncio.sleep(0.005)
        return found

    @property
    def _all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


@pytest.fixture
async def traced(tmp_path: Path) -> AsyncIterator[Traced]:
    exporter = InMemorySpanExporter()
    house = House(tmp_path)
    house.traces = Traces("serve", "1.2.3", SimpleSpanProcessor(exporter))
    await house.start(worker=False)
    await house.collection("c")
    yield Traced(house, exporter)
    await house.stop()


def trace_of(span: ReadableSpan) -> str:
    return f"{span.get_span_context().trace_id:032x}"  # type: ignore[union-attr]  # it has ended


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def id_of(span: ReadableSpan) -> str:
    return f"{span.get_span_context().span_id:016x}"  # type: ignore[union-attr]  # likewise


async def test_one_trace_goes_from_the_request_to_the_workers_write(traced: Traced) -> None:
    header = ("traceparent", f"00-{TRACE}-{PARENT}-01")
    reply = await traced.client("PUT", f"{RECORDS}/a", b"{}", [JSON, header])
    assert reply.status == 202
    traced.house.start_worker()
    (request,) = await traced.spans(f"PUT {RECORDS}/{{id}}".replace("/c/", "/{collection}/"))
    (append,) = await traced.spans("append")
    (apply,) = await traced.spans("apply")
    assert {trace_of(one) for one in (request, append, apply)} == {TRACE}
    assert parent_of(request) == PARENT
    assert parent_of(append) == id_of(request)
    assert [f"{one.context.span_id:016x}" for one in apply.links] == [id_of(append)]
    assert (request.kind, append.kind, apply.kind) == (
        SpanKind.SERVER,
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
    )
    assert dict(request.attributes or {}) == {
        "http.request.method": "PUT",
        "http.route": "/v1/collections/{collection}/records/{id}",
        "http.response.status_code": 202,
    }
    assert (append.attributes, apply.attributes) == (
        {"penstock.entries": 1},
        {"penstock.entries": 1},
    )


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "00",
        TRACE,
        f"00-{TRACE}-{PARENT}",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
        "\xe9\x00" + "x" * 5000,
    ],
)
async def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(
    traced: Traced, malformed: str
) -> None:
    reply = await traced.client("GET", f"{RECORDS}/a", headers=[("traceparent", malformed)])
    assert reply.status == 404
    (request,) = await traced.spans("GET /v1/collections/{collection}/records/{id}")
    assert request.parent is None
    assert trace_of(request) != TRACE


async def test_a_write_of_many_traces_is_linked_to_each(traced: Traced) -> None:
    for number in range(3):
        await traced.client("PUT", f"{RECORDS}/{number}", b"{}", [JSON])
    lines = b'{"id":"x","data":{}}\n{"id":"y","data":{}}\n'
    await traced.client("POST", f"{RECORDS}:bulk", lines, [LINES])
    appends = await traced.spans("append", 4)
    traced.house.start_worker()
    (apply,) = await traced.spans("apply")
    assert apply.attributes == {"penstock.entries": 5}
    assert apply.parent is None
    assert {f"{one.context.trace_id:032x}" for one in apply.links} == {
        trace_of(one) for one in appends
    }
    assert len(apply.links) == 4, "the lines of one append are one link"


def test_the_links_of_one_write_are_at_most_64() -> None:
    exporter = InMemorySpanExporter()
    traces = Traces("worker", "", SimpleSpanProcessor(exporter))
    parents = [f"00-{number:032x}-{PARENT}-01" for number in range(1, 1001)]
    with traces.apply([*parents, "malformed", ""], 1002):
        pass
    (span,) = exporter.get_finished_spans()
    assert [one.context.trace_id for one in span.links] == list(range(1, 65))


def test_what_was_not_traced_makes_no_span_at_the_worker() -> None:
    exporter = InMemorySpanExporter()
    with Traces("worker", "", SimpleSpanProcessor(exporter)).apply(["", ""], 2):
        pass
    assert exporter.get_finished_spans() == ()


async def test_a_trace_that_nobody_records_leaves_nothing_in_the_log(traced: Traced) -> None:
    header = ("traceparent", f"00-{TRACE}-{PARENT}-00")
    await traced.client("PUT", f"{RECORDS}/a", b"{}", [JSON, header])
    entry = await traced.house.engines.log.entry(position(1, 0, 0))
    assert entry is not None
    assert entry.operation.trace == ""


async def test_without_traces_nothing_is_written_about_them(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.start()
    await house.collection("c")
    header = ("traceparent", f"00-{TRACE}-{PARENT}-01")
    await Client(application_of(house))("PUT", f"{RECORDS}/a", b"{}", [JSON, header])
    entry = await house.engines.log.entry(position(1, 0, 0))
    await house.stop()
    assert entry is not None
    assert entry.operation.trace == ""


def test_a_name_of_the_service_from_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    def resource() -> dict[str, object]:
        exporter = InMemorySpanExporter()
        traces = Traces("api", "1.2.3", SimpleSpanProcessor(exporter))
        with traces.append(1):
            pass
        (span,) = exporter.get_finished_spans()
        return dict(span.resource.attributes)

    assert (resource()["service.name"], resource()["service.version"]) == ("penstock-api", "1.2.3")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ours")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=dams")
    assert (resource()["service.name"], resource()["team"]) == ("ours", "dams")


def test_traces_without_their_library_stop_the_start_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "penstock.telemetry.traces", None)
    with pytest.raises(ConfigurationError, match=r"PENSTOCK_TRACES needs .*penstock\[traces\]"):
        tracing.current_id()
