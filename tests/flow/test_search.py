"""Searching over HTTP: filters, sorts, pages, counts, groups, exports, and what is refused."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.support.asking import Caller, Reply
from tests.support.roles import server_of

JSON = {"Content-Type": "application/json"}
LARGE = 300
"""Records above which a collection counts as large here."""
SITES = ("north", "south", "east")


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    server = server_of(tmp_path_factory.mktemp("search") / "data", PENSTOCK_SCAN_RECORDS=str(LARGE))
    server.start()
    yield Caller(server)
    server.stop()


_numbers = itertools.count()


class Records:
    """A collection with records."""

    def __init__(self, ask: Caller, settings: Mapping[str, Any]) -> None:
        self.ask = ask
        self.name = f"s{next(_numbers)}"
        self.address = f"/v1/collections/{self.name}"
        self.receipt = ""
        assert ask.put(self.address, settings).status == 201

    def fill(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        lines = [json.dumps({"id": one, "data": data[one]}).encode() for one in data]
        done = self.ask.bulk(self.name, b"\n".join(lines)).lines[-1]
        assert (done["done"], done["refused"]) == (True, 0), done
        self.receipt = done["receipt"]

    def page(self, **query: Any) -> Reply:
        given = {
            name: json.dumps(value) if name == "filter" else value for name, value in query.items()
        }
        headers = {"Penstock-Receipt": self.receipt} if self.receipt else {}
        return self.ask("GET", f"{self.address}/records?{urlencode(given)}", headers=headers)

    def post(self, verb: str, body: Any) -> Reply:
        headers = JSON | ({"Penstock-Receipt": self.receipt} if self.receipt else {})
        return self.ask(
            "POST", f"{self.address}/records:{verb}", json.dumps(body).encode(), headers
        )

    def ids(self, **query: Any) -> list[str]:
        found = self.page(**query)
        assert found.status == 200, found
        return [one["id"] for one in found.json["records"]]

    def await_indexes(self, state: str = "ready") -> list[dict[str, Any]]:
        until = time.monotonic() + 30
        while True:
            indexes: list[dict[str, Any]] = self.ask("GET", self.address).json.get("indexes", [])
            if all(one["state"] == state for one in indexes):
                return indexes
            assert time.monotonic() < until, indexes
            time.sleep(0.05)


@pytest.fixture(scope="module")
def large(ask: Caller) -> Records:
    """2 * LARGE records, 1 to 600: `level` falls, `site` goes round, `at` every hour."""
    records = Records(
        ask, {"indexes": [{"fields": ["data.site", "-data.level"]}, {"fields": ["data.at"]}]}
    )
    records.await_indexes()
    records.fill({
        f"r{n:03}": {
            "n": n,
            "level": 1000 - n,
            "site": SITES[n % 3],
            "at": f"2026-01-{1 + n // 24:02}T{n % 24:02}:00:00Z",
        }
        for n in range(1, 2 * LARGE + 1)
    })  # fmt: skip
    return records


def walk(records: Records, **query: Any) -> list[list[str]]:
    """The ids of all pages; each but the first one leads back to the one before."""
    pages: list[list[str]] = []
    token: dict[str, str] = {}
    while True:
        page = records.page(**query, **token)
        assert page.status == 200, page
        pages.append([one["id"] for one in page.json["records"]])
        if len(pages) > 1:
            back = records.ids(**query, page_token=page.json["previous_page_token"])
            assert back == pages[-2]
        else:
            assert "previous_page_token" not in page.json
        if "next_page_token" not in page.json:
            return pages
        token = {"page_token": page.json["next_page_token"]}


def test_pages_of_a_filter_and_a_sort_go_forward_and_back(large: Records) -> None:
    pages = walk(
        large,
        filter={"data.site": "south", "data.level": {"$gte": 700}},
        sort="-data.level",
        page_size=30,
    )
    # 1, 4, 7 … 298: level 999 down to 702.
    assert [len(page) for page in pages] == [30, 30, 30, 10]
    assert [one for page in pages for one in page] == [f"r{n:03}" for n in range(1, 301, 3)]
    back = walk(large, filter={"data.site": "south"}, sort="data.level", page_size=150)
    assert [one for page in back for one in page] == [f"r{n:03}" for n in range(598, 0, -3)]


def test_several_sites_are_merged_into_one_order(large: Records) -> None:
    query = {"filter": {"data.site": {"$in": ["south", "east"]}}, "sort": "-data.level"}
    pages = walk(large, **query, page_size=170)
    expected = [f"r{n:03}" for n in range(1, 601) if n % 3]
    assert [one for page in pages for one in page] == expected


def test_either_of_two_is_found_by_an_index_each_and_once(large: Records) -> None:
    query = {"$or": [{"data.site": "north"}, {"data.at": {"$lt": "2026-01-01T05"}}]}
    pages = walk(large, filter=query, page_size=60)
    found = [one for page in pages for one in page]
    assert sorted(found) == sorted(f"r{n:03}" for n in range(1, 601) if n % 3 == 0 or n < 5)


def test_the_same_query_from_a_body(large: Records) -> None:
    body = {
        "filter": {"data.at": {"$prefix": "2026-01-02"}},
        "sort": "data.at",
        "fields": ["site", "data.n"],
        "page_size": 2,
        "count": "exact",
    }
    found = large.post("query", body).json
    assert [one["data"] for one in found["records"]] == [
        {"n": 24, "site": "north"},
        {"n": 25, "site": "south"},
    ]
    assert found["count"] == {"value": 24, "kind": "exact"}
    after = large.post("query", body | {"page_token": found["next_page_token"]}).json
    assert [one["id"] for one in after["records"]] == ["r026", "r027"]


@pytest.mark.parametrize(
    ("filter_", "sort", "wanted"),
    [
        ({"data.n": 5}, None, [["data.n"]]),
        ({"data.site": {"$ne": "north"}}, None, []),
        ({"data.site": "north"}, "data.n", [["data.site", "data.n"]]),
        (None, "-data.n", [["-data.n"]]),
        ({"$or": [{"data.at": "x"}, {"data.n": 5}]}, None, [["data.at"], ["data.n"]]),
    ],
)
def test_what_no_index_serves_is_refused_with_the_index_that_would(
    large: Records, filter_: Any, sort: str | None, wanted: list[list[str]]
) -> None:
    query: dict[str, Any] = {"filter": filter_} if filter_ is not None else {}
    if sort is not None:
        query["sort"] = sort
    refused = large.page(**query)
    assert (refused.status, refused.code) == (422, "index_required")
    for fields in wanted:
        assert json.dumps({"fields": fields}, separators=(",", ":")) in refused.json["detail"]
    assert large.page(**query, allow_scan="true").status == 200


def test_a_scan_that_is_accepted_finds_and_sorts_all_the_same(large: Records) -> None:
    query = {"filter": {"data.n": {"$gt": 590}}, "sort": "-data.n", "allow_scan": "true"}
    pages = walk(large, **query, page_size=4)
    assert pages == [
        ["r600", "r599", "r598", "r597"],
        ["r596", "r595", "r594", "r593"],
        ["r592", "r591"],
    ]


def test_a_small_collection_needs_no_index(ask: Caller) -> None:
    small = Records(ask, {})
    small.fill({"a": {"n": 2}, "b": {"n": "x"}, "c": {}, "d": {"n": True}, "e": {"n": 1.5}})
    assert small.ids(sort="data.n") == ["c", "e", "a", "b", "d"]
    assert small.ids(sort="-data.n") == ["d", "b", "a", "e", "c"]
    assert small.ids(filter={"data.n": {"$gte": 1.5}}) == ["a", "e"]
    assert small.ids(filter={"data.n": None}) == ["c"]
    assert small.ids(filter={"id": {"$in": ["b", "x", "a"]}}) == ["a", "b"]
    assert small.ids(filter={"id": {"$gt": "c"}}, sort="-id") == ["e", "d"]


@pytest.mark.parametrize(
    ("filter_", "count"),
    [
        ({"data.at": {"$in": []}}, 0),
        ({"data.at": {"$nin": []}}, 600),
        ({"data.at": {"$gt": "b", "$lt": "a"}}, 0),
        ({"data.site": "north", "data.level": {"$gt": 9, "$lt": 9}}, 0),
        ({"$not": {}}, 0),
        ({"$not": {"$not": {"data.at": {"$in": []}}}}, 0),
        ({"$or": [{"data.at": {"$in": []}}, {"id": {"$in": []}}, {"id": "r001"}]}, 1),
        ({"$and": [{}]}, 600),
    ],
)
@pytest.mark.parametrize("sort", ["", "data.at", "-data.at"])
def test_what_always_or_never_holds_is_found_or_not(
    large: Records, filter_: Any, count: int, sort: str
) -> None:
    query = {"filter": filter_, "allow_scan": "true"} | ({"sort": sort} if sort else {})
    assert len(large.ids(**query, page_size=1000)) == count
    found = large.page(**query, count="exact", page_size=1).json["count"]
    assert found == {"value": count, "kind": "exact"}


def test_an_empty_filter_is_none(large: Records) -> None:
    assert len(large.ids(filter={}, page_size=1000)) == 600
    assert large.page(filter={}, count="estimated").json["count"]["kind"] == "estimated"


def test_records_are_found_by_their_times(ask: Caller) -> None:
    records = Records(ask, {"indexes": [{"fields": ["-created_at"]}]})
    records.await_indexes()
    records.fill({"a": {}})
    time.sleep(0.01)
    records.fill({"b": {}})
    assert records.ids(sort="-created_at") == ["b", "a"]
    first = records.page(filter={"id": "a"}).json["records"][0]["created_at"]
    assert records.ids(filter={"created_at": {"$gt": first}}) == ["b"]
    assert records.ids(filter={"created_at": first}) == ["a"]


def test_an_array_index_finds_elements(ask: Caller) -> None:
    records = Records(ask, {"indexes": [{"fields": ["data.tags"], "array": True}]})
    (index,) = records.await_indexes()
    assert index == {"fields": ["data.tags"], "array": True, "state": "ready"}
    records.fill({f"r{n:03}": {"tags": [f"t{n % 7}", "all"]} for n in range(LARGE + 10)})
    assert records.ids(filter={"data.tags": "t3"}, page_size=2) == ["r003", "r010"]
    both = records.page(filter={"data.tags": {"$in": ["t0", "t1", "all"]}}, count="exact")
    assert both.json["count"] == {"value": LARGE + 10, "kind": "exact"}


def test_what_cannot_be_indexed_is_refused_at_the_door_or_named(ask: Caller) -> None:
    records = Records(ask, {"indexes": [{"fields": ["data.a.b"]}]})
    for data, pointer in (
        ({"a": {"b": [1]}}, "/a/b"),
        ({"a": [{"b": 1}]}, "/a"),
        ({"a": {"b": {}}}, "/a/b"),
        ({"a": {"b": "x" * 1025}}, "/a/b"),
    ):
        refused = ask.put(f"{records.address}/records/r", data)
        assert (refused.status, refused.code) == (422, "schema_violation")
        assert refused.json["errors"][0]["pointer"] == pointer
    late = Records(ask, {})
    late.fill({"good": {"a": 1}, "bad": {"a": [1]}})
    assert late.ids() == ["bad", "good"]
    ask.put(late.address, {"indexes": [{"fields": ["data.a"]}]})
    (index,) = late.await_indexes("unfit")
    assert index["record_id"] == "bad"
    assert late.ids(filter={"data.a": 1}) == ["bad", "good"]


@pytest.mark.parametrize(
    ("filter_", "pointer"),
    [
        ({"data.a": {"$regex": "x"}}, "/data.a/$regex"),
        ({"$where": "1"}, "/$where"),
        ({"$expr": {}}, "/$expr"),
        ({"data.a": {"$gt": None}}, "/data.a/$gt"),
        ({"data.a": {"b": 1}}, "/data.a/b"),
        ({"data.a": [1]}, "/data.a"),
        ({"a": 1}, "/a"),
        ({"data.$a": 1}, "/data.$a"),
        ({"data.0": 1}, "/data.0"),
        ({"data.": 1}, "/data."),
        ({"created_at": "yesterday"}, "/created_at"),
        ({"id": 5}, "/id"),
        ({"$or": []}, "/$or"),
        ({"$or": [{"data.a": 1}, {"data.b": {"$in": 5}}]}, "/$or/1/data.b/$in"),
        ({"data.a": {"$in": list(range(201))}}, "/data.a/$in"),
        ([], ""),
    ],
)
def test_a_filter_that_is_none_is_refused_with_a_pointer(
    large: Records, filter_: Any, pointer: str
) -> None:
    refused = large.page(filter=filter_)
    assert (refused.status, refused.code) == (400, "invalid_filter")
    assert refused.json["errors"][0]["pointer"] == pointer
    refused = large.post("query", {"filter": filter_})
    assert refused.json["errors"][0]["pointer"] == f"/filter{pointer}"


def test_a_filter_too_deep_or_too_large_is_refused(large: Records) -> None:
    deep: dict[str, Any] = {"data.a": 1}
    for _ in range(10):
        deep = {"$not": deep}
    assert large.page(filter=deep).code == "invalid_filter"
    many = {"$and": [{"data.a": n} for n in range(101)]}
    assert large.page(filter=many).code == "invalid_filter"


@pytest.mark.parametrize(
    "query",
    [
        "id[$ne]=x", "filter[$where]=1", "sort=data.a,data.a", "sort=id,data.a", "sort=",
        "fields=", "fields=a..b", "count=all", "allow_scan=yes", "filter=%7B", "page_size=0",
    ],
)  # fmt: skip
def test_tricks_with_parameters_are_refused(large: Records, query: str) -> None:
    assert large.ask("GET", f"{large.address}/records?{query}").status == 400


def test_a_page_token_belongs_to_its_query(large: Records) -> None:
    query = {"filter": {"data.site": "south"}, "sort": "-data.level", "page_size": 5}
    token = large.page(**query).json["next_page_token"]
    for other in ({"filter": {"data.site": "north"}}, {"sort": "data.level"}):
        refused = large.page(**(query | other), page_token=token)
        assert (refused.status, refused.code) == (400, "invalid_page_token")
    assert large.page(**(query | {"page_size": 9}), page_token=token).status == 200


def test_pages_are_stable_while_records_come(large: Records, ask: Caller) -> None:
    records = Records(ask, {"indexes": [{"fields": ["data.n"]}]})
    records.await_indexes()
    records.fill({f"r{n}": {"n": n} for n in range(0, 100, 10)})
    first = records.page(sort="data.n", page_size=3).json
    assert [one["id"] for one in first["records"]] == ["r0", "r10", "r20"]
    records.fill({"r5": {"n": 5}, "r25": {"n": 25}, "r20": {"n": 99}})
    second = records.page(sort="data.n", page_size=3, page_token=first["next_page_token"]).json
    assert [one["id"] for one in second["records"]] == ["r25", "r30", "r40"]


def test_groups_have_their_figures(large: Records) -> None:
    body = {
        "filter": {"data.at": {"$prefix": "2026-01-02"}},
        "group_by": ["data.site"],
        "measures": {
            "count": "count",
            "sum": {"sum": "data.n"},
            "mean": {"average": "data.n"},
            "least": {"min": "data.n"},
            "most": {"max": "data.at"},
            "p50": {"p50": "data.n"},
        },
        "sort": ["-sum"],
        "limit": 2,
    }
    # 24 to 47: n % 3 is 0 for 24, 27 … 45, 1 for 25 … 46, 2 for 26 … 47.
    assert large.post("aggregate", body).json["groups"] == [
        {
            "keys": {"data.site": "east"},
            "measures": {
                "count": 8, "sum": 292, "mean": 36.5, "least": 26, "most": "2026-01-02T23:00:00Z",
                "p50": 35,
            },
        },
        {
            "keys": {"data.site": "south"},
            "measures": {
                "count": 8, "sum": 284, "mean": 35.5, "least": 25, "most": "2026-01-02T22:00:00Z",
                "p50": 34,
            },
        },
    ]  # fmt: skip
    days = {
        "filter": {"data.at": {"$lt": "2026-01-03"}},
        "group_by": [{"field": "data.at", "every": "12h"}],
        "measures": {"n": "count"},
    }
    assert large.post("aggregate", days).json["groups"] == [
        {"keys": {"data.at": f"2026-01-{day:02}T{hour:02}:00:00.000Z"}, "measures": {"n": n}}
        for day, hour, n in ((1, 0, 11), (1, 12, 12), (2, 0, 12), (2, 12, 12))
    ]
    assert large.post("aggregate", {"measures": {"n": "count"}}).code == "index_required"
    whole = large.post("aggregate", {"measures": {"n": "count"}, "allow_scan": True})
    assert whole.json["groups"] == [{"keys": {}, "measures": {"n": 600}}]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"measures": {"n": "sum"}}, "/measures/n"),
        ({"measures": {"n": {"median": "data.n"}}}, "/measures/n"),
        ({"measures": {"n": {"sum": "n"}}}, "/measures/n"),
        ({"measures": {}}, "/measures"),
        ({"measures": {"n": "count"}, "group_by": ["x"]}, "/group_by/0"),
        (
            {"measures": {"n": "count"}, "group_by": [{"field": "data.at", "every": "1y"}]},
            "/group_by/0",
        ),
        ({"measures": {"n": "count"}, "sort": ["m"]}, "/sort/0"),
        ({"measures": {"n": "count"}, "limit": 0}, "/limit"),
    ],
)
def test_an_aggregation_that_is_none_is_refused(large: Records, body: Any, pointer: str) -> None:
    refused = large.post("aggregate", body)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (400, pointer)


def test_an_export_is_everything_by_id_and_goes_on_after_any(large: Records) -> None:
    whole = large.ask("GET", f"{large.address}/records:export?fields=n").lines
    assert [one["data"] for one in whole[:-1]] == [{"n": n} for n in range(1, 601)]
    assert whole[-1] == {"done": True, "count": 600}
    some = urlencode({"after": "r500", "filter": json.dumps({"data.site": "north"})})
    rest = large.ask("GET", f"{large.address}/records:export?{some}").lines
    assert [one["id"] for one in rest[:-1]] == [f"r{n}" for n in range(501, 601) if n % 3 == 0]


def test_a_listing_with_a_receipt_sees_the_write(large: Records) -> None:
    for n in range(20):
        written = large.ask.put(f"{large.address}/records/z{n}", {"at": f"2030-{n:02}"})
        large.receipt = written.json["receipt"]
        assert large.ids(filter={"data.at": f"2030-{n:02}"}) == [f"z{n}"]
        large.receipt = large.ask("DELETE", f"{large.address}/records/z{n}").json["receipt"]
        assert large.ids(filter={"data.at": f"2030-{n:02}"}) == []


def test_lists_are_kept_where_the_collection_says_so(ask: Caller) -> None:
    records = Records(ask, {"cache": {"lists": "1h"}})
    assert ask("GET", records.address).json["cache"]["lists"] == "1h"
    address = f"{records.address}/records"
    assert ask("GET", address).json["records"] == []
    records.fill({"a": {"a": 1, "b": 1, "c": 1}})
    assert records.ids() == ["a"]
    kept = ask("GET", address)
    assert kept.json["records"] == []
    assert int(kept.headers["age"]) >= 0
    for name in "abcdefgh":
        fields = ask("GET", f"{address}?fields={name}")
        assert fields.json["records"][0]["data"] == ({name: 1} if name in "abc" else {})
        again = ask("GET", f"{address}?fields={name}")
        assert again.body == fields.body
    fresh = ask("GET", address, headers={"Cache-Control": "no-cache"})
    assert [one["id"] for one in fresh.json["records"]] == ["a"]


def test_settings_of_indexes_are_checked(ask: Caller) -> None:
    wrong: list[list[dict[str, Any]]] = [
        [{"fields": []}],
        [{"fields": ["a"]}],
        [{"fields": ["id"]}],
        [{"fields": ["data.a", "-data.a"]}],
        [{"fields": ["data.a"]}, {"fields": ["data.a"]}],
        [{"fields": ["data.a", "data.b"], "array": True}],
        [{"fields": ["data.a"], "unique": True}],
        [{"fields": [f"data.f{n}"]} for n in range(17)],
    ]
    for indexes in wrong:
        refused = ask.put("/v1/collections/refused", {"indexes": indexes})
        assert (refused.status, refused.code) == (400, "invalid_collection"), indexes


def test_an_index_goes_when_the_settings_do_not_name_it(ask: Caller) -> None:
    records = Records(ask, {"indexes": [{"fields": ["data.n"]}]})
    records.await_indexes()
    records.fill({f"r{n:03}": {"n": n} for n in range(LARGE + 1)})
    assert records.ids(filter={"data.n": 7}) == ["r007"]
    assert "indexes" not in ask.put(records.address, {}).json
    until = time.monotonic() + 30
    while records.page(filter={"data.n": 7}).status != 422:
        assert time.monotonic() < until
