"""What is counted of requests that are shed, refused unread, passed on, or given up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.asgi import Client, application_of
from tests.support.calling import Called
from tests.support.house import House
from tests.support.scraping import Scraped

from penstock.api.admission import Budget
from penstock.api.asgi import ClientGone
from penstock.api.request import Request
from penstock.api.response import Response
from penstock.api.route import Role, Route
from penstock.api.services import Services
from penstock.errors import Refused
from penstock.telemetry.traces import Traces
from penstock.wiring.observing import follow_fleets

TRACE = "0af7651916cd43dd8448eb211c80319c"
RECORD = b"GET /v1/collections/c/records/a HTTP/1.1\r\nhost: h\r\n\r\n"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.start()
    await house.collection("c")
    yield house
    await house.stop()


def scraped(house: House) -> Scraped:
    return Scraped(house.engines.metrics.scrape()[0].decode())


def route(handler: Any) -> Route:
    return Route("GET", "/here", handler, "here", "T", "S", public=True)


async def test_what_is_turned_away_counts_as_shed_and_as_a_problem(house: House) -> None:
    application = application_of(house)
    gate = application.gate
    gate.limits[Budget.READ].is_full = True
    for _ in range(3):
        assert gate.short.turns_away(Called(), RECORD)
    application.refuse(gate.overloaded())
    found = scraped(house)
    assert found.value("penstock_shed_total", role="serve", budget="read") == 3
    assert found.value("penstock_shed_total", role="serve", budget="write") == 0
    assert found.value("penstock_problems_total", role="serve", code="overloaded") == 4
    labels = {"role": "serve", "route": "none", "status": "5xx"}
    assert found.value("penstock_answers_total", **labels) == 4
    assert found.value("penstock_admitted", role="serve", budget="read") == 0
    assert found.value("penstock_allowed", role="serve", budget="read") == 2048
    assert found.value("penstock_bodies_bytes", role="serve") == 0


async def test_what_is_no_request_counts_as_an_answer(house: House) -> None:
    application_of(house).refuse(Refused("uri_too_long"))
    found = scraped(house)
    assert found.value("penstock_problems_total", role="serve", code="uri_too_long") == 1
    labels = {"role": "serve", "route": "none"}
    assert found.value("penstock_answers_total", status="4xx", **labels) == 1
    assert found.value("penstock_request_seconds_count", **labels) == 0


async def test_a_client_that_is_gone_and_a_defect_are_told_apart(house: House) -> None:
    async def gone(_services: Services, _request: Request) -> Response:
        raise ClientGone

    async def defect(_services: Services, _request: Request) -> Response:
        raise ZeroDivisionError

    for handler in (gone, defect):
        await Client(application_of(house, routes=[route(handler)]))("GET", "/here")
    found = scraped(house)
    labels = {"role": "serve", "route": "here"}
    assert found.value("penstock_answers_total", status="gone", **labels) == 1
    assert found.value("penstock_answers_total", status="5xx", **labels) == 1
    assert found.value("penstock_problems_total", role="serve", code="internal") == 1
    assert found.value("penstock_requests_in_flight", role="serve") == 0


async def test_requests_in_flight_are_those_without_an_answer(house: House) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def waits(_services: Services, _request: Request) -> Response:
        begun.set()
        await go_on.wait()
        return Response(204)

    asked = asyncio.create_task(
        Client(application_of(house, routes=[route(waits)]))("GET", "/here")
    )
    await begun.wait()
    assert scraped(house).value("penstock_requests_in_flight", role="serve") == 1
    go_on.set()
    await asked
    assert scraped(house).value("penstock_requests_in_flight", role="serve") == 0


async def test_what_is_passed_on_is_part_of_the_span_here(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def passes_on(_services: Services, request: Request) -> Response:
        seen.append(request.headers[b"traceparent"])
        return Response(204)

    exporter = InMemorySpanExporter()
    house = House(tmp_path)
    house.traces = Traces("api", "", SimpleSpanProcessor(exporter))
    await house.start(worker=False)
    client = Client(application_of(house, routes=[route(passes_on)]))
    given = [("traceparent", f"00-{TRACE}-b7ad6b7169203331-01")]
    assert (await client("GET", "/here", headers=given)).status == 204
    assert (await client("GET", "/here", headers=[("traceparent", "nonsense")])).status == 204
    await house.stop()
    spans = exporter.get_finished_spans()
    ids = [f"{one.context.trace_id:032x}-{one.context.span_id:016x}" for one in spans]
    # Behind it stand flags, of which one says that the id is random.
    assert [one.decode()[:-3] for one in seen] == [f"00-{one}" for one in ids]
    assert ids[0].startswith(TRACE)


class Fleets:
    """What is asked of `Forwarding`."""

    def __init__(self) -> None:
        self.fleets: Any = {Role.QUERY: self}

    def count(self, *, usable: bool) -> int:
        return 2 if usable else 3

    def in_flight(self) -> int:
        return 7

    def hedged(self, _role: Role) -> int:
        return 11


async def test_the_services_behind_are_counted(house: House) -> None:
    forwarding: Any = Fleets()
    follow_fleets(house.engines.metrics, forwarding)
    found = scraped(house)
    assert found.value("penstock_upstreams", service="query", state="known") == 3
    assert found.value("penstock_upstreams", service="query", state="usable") == 2
    assert found.value("penstock_upstream_requests", service="query") == 7
    assert found.value("penstock_hedged_total", service="query") == 11


async def test_slow_requests_are_logged_ten_a_second_at_most(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def slow(_services: Services, _request: Request) -> Response:
        await asyncio.sleep(0.01)
        return Response(204)

    house = House(tmp_path, slow_request_ms=5)
    await house.start(worker=False)
    client = Client(application_of(house, routes=[route(slow)]))
    await asyncio.gather(*(client("GET", "/here") for _ in range(30)))
    await asyncio.sleep(0.1)
    await client("GET", "/here")
    await house.stop()
    lines = [line for line in capsys.readouterr().out.splitlines() if "slow_request" in line]
    assert [re.findall(r"left_out=(\d+)", line) for line in lines] == [["0"], ["29"]]
    assert all("route=here" in line and "status=204" in line for line in lines)
