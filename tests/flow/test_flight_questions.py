"""Twenty questions about all flights of 2013, asked over HTTP, answered beforehand from the CSV.

What is expected is worked out with the standard library alone, by other ways than the engines'.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.support.asking import Caller
from tests.support.flights import TOTAL, rows, unpack
from tests.support.roles import server_of

ADDRESS = "/v1/collections/flights"
JSON = {"Content-Type": "application/json"}
CHUNK = 20_000
INDEXES = [
    {"fields": ["data.carrier", "data.month"]},
    {"fields": ["data.origin", "-data.distance"]},
    {"fields": ["data.time_hour"]},
    {"fields": ["data.tailnum", "data.time_hour"]},
    {"fields": ["-data.arr_delay"]},
    {"fields": ["data.dest", "-data.dep_delay"]},
]

Row = dict[str, Any]


class Flights:
    """All flights, by id as they were sent, and a server that holds them."""

    def __init__(self, ask: Caller, source: list[Row]) -> None:
        self.ask = ask
        self.by_id = {f"f{number:06}": one for number, one in enumerate(source)}
        self.rows = source

    def send(self) -> None:
        settings = {"indexes": INDEXES}
        assert self.ask.put(ADDRESS, settings).status == 201
        lines = [json.dumps({"id": one, "data": data}).encode() for one, data in self.by_id.items()]
        for start in range(0, len(lines), CHUNK):
            part = b"\n".join(lines[start : start + CHUNK])
            done = self.ask.bulk("flights", part).lines[-1]
            assert (done["done"], done["refused"]) == (True, 0), done
            self._settle(done["receipt"])
        until = time.monotonic() + 120
        while any(one["state"] != "ready" for one in self.ask("GET", ADDRESS).json["indexes"]):
            assert time.monotonic() < until
            time.sleep(0.1)

    def pages(self, **query: Any) -> Iterator[Row]:
        """The records of a query, page by page to the end."""
        if "filter" in query:
            query["filter"] = json.dumps(query["filter"])
        while True:
            page = self.ask("GET", f"{ADDRESS}/records?{urlencode(query)}")
            assert page.status == 200, page
            yield from page.json["records"]
            if "next_page_token" not in page.json:
                return
            query["page_token"] = page.json["next_page_token"]

    def first(self, size: int, **query: Any) -> list[Row]:
        if "filter" in query:
            query["filter"] = json.dumps(query["filter"])
        page = self.ask("GET", f"{ADDRESS}/records?{urlencode(query | {'page_size': size})}")
        assert page.status == 200, page
        records: list[Row] = page.json["records"]
        return records

    def count(self, filter_: Any) -> int:
        query = urlencode({"filter": json.dumps(filter_), "count": "exact", "page_size": 1})
        page = self.ask("GET", f"{ADDRESS}/records?{query}")
        assert page.json["count"]["kind"] == "exact", page
        return int(page.json["count"]["value"])

    def groups(self, **body: Any) -> dict[Any, Row]:
        """The measures of each group by its keys' values."""
        found = self.ask(
            "POST",
            f"{ADDRESS}/records:aggregate",
            json.dumps({"limit": 10_000} | body).encode(),
            JSON,
        )
        assert found.status == 200, found
        return {tuple(one["keys"].values()): one["measures"] for one in found.json["groups"]}

    def where(self, holds: Callable[[Row], bool]) -> dict[str, Row]:
        return {one: data for one, data in self.by_id.items() if holds(data)}

    def _settle(self, receipt: str) -> None:
        until = time.monotonic() + 60
        while self.ask("GET", f"/v1/receipts/{receipt}").json["status"] == "durable":
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flights]:
    folder = tmp_path_factory.mktemp("questions")
    # Aggregates of a whole year are asked for here, on two cores that do everything else as well.
    server = server_of(folder / "data", PENSTOCK_DEADLINE_MS="60000")
    server.start()
    found = Flights(Caller(server), [dict(one) for one in rows(unpack(folder))])
    assert len(found.rows) == TOTAL
    found.send()
    yield found
    server.stop()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_questions_are_answered_as_the_source_has_it(flights: Flights) -> None:
    for question in (*COUNTS, *LISTS, *GROUPS):
        question(flights)
    assert len((*COUNTS, *LISTS, *GROUPS)) == 20


def counted(filter_: Any, holds: Callable[[Row], bool]) -> Callable[[Flights], None]:
    def question(flights: Flights) -> None:
        assert flights.count(filter_) == len(flights.where(holds)) > 0, filter_

    return question


COUNTS = [
    counted({"data.carrier": "UA"}, lambda one: one["carrier"] == "UA"),
    counted(
        {"data.carrier": "UA", "data.month": {"$gte": 6, "$lte": 8}},
        lambda one: one["carrier"] == "UA" and 6 <= one["month"] <= 8,
    ),
    counted({"data.arr_delay": {"$gt": 300}}, lambda one: one.get("arr_delay", 0) > 300),
    counted({"data.arr_delay": None}, lambda one: "arr_delay" not in one),
    counted({"data.tailnum": {"$prefix": "N14"}}, lambda one: one.get("tailnum", "")[:3] == "N14"),
    counted(
        {"$or": [{"data.dest": "HNL"}, {"data.carrier": "HA"}, {"data.arr_delay": {"$lt": -70}}]},
        lambda one: one["dest"] == "HNL" or one["carrier"] == "HA" or one.get("arr_delay", 0) < -70,
    ),
    counted(
        {"data.dest": {"$in": ["ANC", "LEX"]}, "data.origin": {"$ne": "JFK"}},
        lambda one: one["dest"] in ("ANC", "LEX") and one["origin"] != "JFK",
    ),
]  # fmt: skip


def longest_from_jfk(flights: Flights) -> None:
    found = flights.first(50, filter={"data.origin": "JFK"}, sort="-data.distance")
    own = flights.where(lambda one: one["origin"] == "JFK")
    expected = sorted(own, key=lambda one: (-own[one]["distance"], one))[:50]
    assert [one["id"] for one in found] == expected


def shortest_from_newark(flights: Flights) -> None:
    found = flights.first(30, filter={"data.origin": "EWR"}, sort="data.distance")
    own = flights.where(lambda one: one["origin"] == "EWR")
    distances = sorted(one["distance"] for one in own.values())[:30]
    assert [one["data"]["distance"] for one in found] == distances


def most_delayed(flights: Flights) -> None:
    found = flights.first(20, sort="-data.arr_delay", fields="arr_delay,carrier")
    own = flights.where(lambda one: "arr_delay" in one)
    expected = sorted(own, key=lambda one: (-own[one]["arr_delay"], one))[:20]
    assert [(one["id"], one["data"]) for one in found] == [
        (one, {"carrier": own[one]["carrier"], "arr_delay": own[one]["arr_delay"]})
        for one in expected
    ]


def one_aircraft(flights: Flights) -> None:
    found = list(flights.pages(filter={"data.tailnum": "N725MQ"}, sort="data.time_hour"))
    own = flights.where(lambda one: one.get("tailnum") == "N725MQ")
    expected = sorted(own, key=lambda one: (own[one]["time_hour"], one))
    assert [one["id"] for one in found] == expected
    assert [one["data"] for one in found] == [own[one] for one in expected]


def a_day(flights: Flights) -> None:
    found = flights.pages(filter={"data.time_hour": {"$prefix": "2013-07-04"}}, page_size=333)
    own = flights.where(lambda one: one["time_hour"].startswith("2013-07-04"))
    assert sorted(one["id"] for one in found) == sorted(own)


def to_two_places_by_delay(flights: Flights) -> None:
    query = {"filter": {"data.dest": {"$in": ["HNL", "ANC"]}}, "sort": "-data.dep_delay"}
    found = [one["id"] for one in flights.pages(**query, page_size=100)]
    own = flights.where(lambda one: one["dest"] in ("HNL", "ANC"))
    late: dict[str, Any] = {one: data.get("dep_delay") for one, data in own.items()}
    known = sorted((one for one in own if late[one] is not None), key=lambda one: (-late[one], one))
    assert found == known + sorted(one for one in own if late[one] is None)


def everything_by_an_index(flights: Flights) -> None:
    found = flights.pages(sort="data.carrier,data.month", page_size=1000, fields="carrier,month")
    keys = [(one["data"]["carrier"], one["data"]["month"], one["id"]) for one in found]
    assert keys == sorted(
        (data["carrier"], data["month"], one) for one, data in flights.by_id.items()
    )


LISTS = [
    longest_from_jfk, shortest_from_newark, most_delayed, one_aircraft, a_day,
    to_two_places_by_delay, everything_by_an_index,
]  # fmt: skip


def by(flights: Flights, *names: str) -> dict[tuple[Any, ...], list[Row]]:
    groups = defaultdict(list)
    for one in flights.rows:
        groups[tuple(one.get(name) for name in names)].append(one)
    return groups


def delays_per_carrier_and_month(flights: Flights) -> None:
    found = flights.groups(
        group_by=["data.carrier", "data.month"],
        measures={"n": "count", "mean": {"average": "data.arr_delay"}},
        allow_scan=True,
    )
    expected = by(flights, "carrier", "month")
    assert found.keys() == expected.keys()
    for key, group in expected.items():
        delays = [one["arr_delay"] for one in group if "arr_delay" in one]
        assert found[key]["n"] == len(group)
        assert found[key]["mean"] == pytest.approx(statistics.fmean(delays))


def distance_per_origin(flights: Flights) -> None:
    found = flights.groups(
        group_by=["data.origin"],
        measures={"sum": {"sum": "data.distance"}, "far": {"max": "data.distance"}},
        allow_scan=True,
    )
    assert found == {
        key: {
            "sum": sum(one["distance"] for one in group),
            "far": max(one["distance"] for one in group),
        }
        for key, group in by(flights, "origin").items()
    }


def busiest_destinations(flights: Flights) -> None:
    found = flights.groups(
        group_by=["data.dest"], measures={"n": "count"}, sort=["-n"], limit=10, allow_scan=True
    )
    counts = Counter(one["dest"] for one in flights.rows)
    expected = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:10]
    assert [(key[0], one["n"]) for key, one in found.items()] == expected


def flights_a_day_in_march(flights: Flights) -> None:
    found = flights.groups(
        filter={"data.time_hour": {"$gte": "2013-03-01", "$lt": "2013-04-01"}},
        group_by=[{"field": "data.time_hour", "every": "1d"}],
        measures={"n": "count"},
    )
    days = Counter(one["time_hour"][:10] for one in flights.rows)
    assert {key[0][:10]: one["n"] for key, one in found.items()} == {
        day: n for day, n in days.items() if day.startswith("2013-03")
    }


def one_carrier_by_aircraft(flights: Flights) -> None:
    found = flights.groups(
        filter={"data.carrier": "HA"},
        group_by=["data.tailnum"],
        measures={"first": {"min": "data.time_hour"}, "late": {"max": "data.dep_delay"}},
    )
    own = [one for one in flights.rows if one["carrier"] == "HA"]
    expected = {
        (tailnum,): {
            "first": min(one["time_hour"] for one in own if one.get("tailnum") == tailnum),
            "late": max(one["dep_delay"] for one in own if one.get("tailnum") == tailnum),
        }
        for tailnum in {one.get("tailnum") for one in own}
    }
    assert found == expected


def the_year_as_a_whole(flights: Flights) -> None:
    delays = sorted(one["arr_delay"] for one in flights.rows if "arr_delay" in one)
    found = flights.groups(
        measures={
            "n": "count",
            "air": {"sum": "data.air_time"},
            "early": {"min": "data.arr_delay"},
            "mean": {"average": "data.distance"},
            "p95": {"p95": "data.arr_delay"},
        },
        allow_scan=True,
    )
    assert found == {
        (): {
            "n": TOTAL,
            "air": sum(one.get("air_time", 0) for one in flights.rows),
            "early": min(one["arr_delay"] for one in flights.rows if "arr_delay" in one),
            "mean": pytest.approx(statistics.fmean(one["distance"] for one in flights.rows)),
            "p95": delays[math.ceil(0.95 * len(delays)) - 1],
        }
    }


GROUPS = [
    delays_per_carrier_and_month, distance_per_origin, busiest_destinations,
    flights_a_day_in_march, one_carrier_by_aircraft, the_year_as_a_whole,
]  # fmt: skip
