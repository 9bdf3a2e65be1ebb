"""What a server says of what it did, against what it was asked: each number worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.scraping import Scraped
from tests.support.server import Server

JSON = "application/json"
LINES = "application/x-ndjson"
ROUTES = {
    "put_collection": {"2xx": 1},
    "put_record": {"2xx": 6, "4xx": 2},
    "get_record": {"2xx": 2, "4xx": 1},
    "write_records": {"2xx": 2},
    "list_records": {"2xx": 3, "4xx": 1},
    "none": {"4xx": 1},
    "livez": {"2xx": 1},
    "delete_record": {"2xx": 1},
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a defect, asked a few things."""
    server = Server(tmp_path_factory.mktemp("asked") / "data", PENSTOCK_SLOW_QUERY_MS="60000")
    server.start("tests.support.defective")
    try:
        _ask_everything(server)
        yield server
    finally:
        server.close()


def _ask_everything(server: Server) -> None:
    collection, records = "/v1/collections/c", "/v1/collections/c/records"
    ask(server, "PUT", collection, b"{}")
    for record_id in "abc":
        ask(server, "PUT", f"{records}/{record_id}", b'{"n":1}')
    assert ask(server, "PUT", f"{records}/a", b'{"n":') == 400
    assert ask(server, "PUT", f"{records}/a", b"{}", Authorization="Bearer x") == 401
    # There is one of it: rejected.
    ask(server, "PUT", f"{records}/a", b"{}", JSON, **{"If-None-Match": "*"})
    ask(server, "PUT", f"{records}/d", b'{"poison":1}')
    ask(server, "PUT", f"{records}/d", b'{"n":2}')
    lines = b'{"id":"x","data":{}}\n{"id":"y","data":{}}\nnonsense\n'
    for _ in range(2):
        # The same operations twice: duplicates.
        ask(server, "POST", f"{records}:bulk", lines, LINES, **{"Idempotency-Key": "k"})
    ask(server, "DELETE", f"{records}/b")
    _await_applied(server, 11)
    assert [ask(server, "GET", f"{records}/a") for _ in range(2)] == [200, 200]
    assert ask(server, "GET", f"{records}/nothing") == 404
    for value in (1, 2, 3):
        ask(server, "GET", f"{records}?filter=%7B%22data.n%22%3A{value}%7D")
    assert ask(server, "GET", f"{records}?filter=%7B%22data.n%22%3A%7B%7D%7D") == 400
    assert ask(server, "GET", "/v1/nothing") == 404
    ask(server, "GET", "/livez")


def ask(
    server: Server, method: str, path: str, body: bytes = b"", media: str = JSON, **headers: str
) -> int:
    headers = {"Authorization": f"Bearer {Server.KEY}", "Content-Type": media} | headers
    request = urllib.request.Request(
        server.url + path, body or None, method=method, headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
            status: int = answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return status


def _await_applied(server: Server, count: int) -> None:
    until = time.monotonic() + 20
    while Scraped.of(server.url).sum("penstock_entries_total") < count:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_was_asked_is_what_was_counted(asked: Server) -> None:
    found = Scraped.of(asked.url)
    for route, answers in ROUTES.items():
        of_route = {"role": "serve", "route": route}
        for status in ("2xx", "3xx", "4xx", "5xx", "gone"):
            counted = found.value("penstock_answers_total", status=status, **of_route)
            assert counted == answers.get(status, 0), (route, status)
        count = found.value("penstock_request_seconds_count", **of_route)
        assert count == sum(answers.values()), route
        assert 0 < found.value("penstock_request_seconds_sum", **of_route) < 60

    problems = {
        "malformed_json": 1,
        "unauthenticated": 1,
        "record_not_found": 1,
        "invalid_filter": 1,
        "route_not_found": 1,
    }
    assert found.sum("penstock_problems_total") == 5
    for code, count in problems.items():
        assert found.value("penstock_problems_total", role="serve", code=code) == count
    assert found.value("penstock_requests_in_flight", role="serve") == 1, "this scrape"
    assert found.value("penstock_connections", role="serve") >= 1
    assert found.value("penstock_bulk_lines_total", result="accepted") == 4
    assert found.value("penstock_bulk_lines_total", result="refused") == 2

    # 3 puts, 2 lines, a delete; the lines again; one that exists; the poison and what is behind it.
    outcomes = {"applied": 6, "duplicate": 2, "rejected": 1, "quarantined": 2}
    assert found.sum("penstock_entries_total") == 11
    for outcome, count in outcomes.items():
        assert found.value("penstock_entries_total", outcome=outcome) == count, outcome
    assert found.value("penstock_slice_entries_sum") == 11
    assert found.value("penstock_append_entries_sum") == 11
    assert found.value("penstock_slices_put_off_total") == 0
    assert found.value("penstock_backlog_seconds") == 0
    assert found.value("penstock_backlog_entries") == 0

    # `a` is read twice: a miss, filled, and a hit; the third is a miss of what is not there.
    assert found.value("penstock_cache_reads_total", result="hit") == 1
    assert found.value("penstock_cache_reads_total", result="miss") == 2
    assert found.value("penstock_read_records_sum", source="cache") == 3
    assert found.value("penstock_read_records_sum", source="store") == 2

    # One shape, three values.
    assert found.value("penstock_query_shapes") == 1
    assert found.sum("penstock_queries_total") == 3
    assert found.value("penstock_query_seconds_count", plan="scan") == 3
    assert found.sum("penstock_slow_queries_total") == 0
    assert found.sum("penstock_engine_seconds_count", engine="log", operation="append") == 9
    assert found.sum("penstock_failures_total") == 0
    assert (
        found.value(
            "penstock_engine_seconds_count", engine="store", caller="requests", operation="scan"
        )
        >= 3
    )
    assert found.value("process_open_fds") > 10


def test_each_loop_tells_how_late_it_wakes(asked: Server) -> None:
    until = time.monotonic() + 20
    waiting = {"requests", "worker"}
    while waiting:
        assert time.monotonic() < until, waiting
        found = Scraped.of(asked.url)
        waiting = {
            loop
            for loop in waiting
            if not found.value("penstock_loop_lag_seconds_count", loop=loop)
        }


def test_what_is_scraped_says_nothing_of_what_anybody_wrote(asked: Server) -> None:
    with urllib.request.urlopen(f"{asked.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
        assert answer.headers["Cache-Control"] == "no-store"
    for theirs in (Server.KEY, "data.n", '"c"', "poison", "default", "admin", "nothing"):
        assert theirs not in text
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    documented = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    assert [one for one in names if f"`{one}`" not in documented] == []


def test_the_log_has_a_line_for_each_request_where_that_is_asked_for(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", PENSTOCK_ACCESS_LOG="on")
    server.start()
    try:
        ask(server, "PUT", "/v1/collections/c", b"{}", JSON, **{"X-Request-Id": "mine"})
        forging = "/v1/collections/c/records/a%22%0A%7B%7D?x"
        ask(server, "GET", forging, b"", JSON, **{"X-Request-Id": "a b"})
        ask(server, "GET", "/livez")
        server.stop()
    finally:
        server.close()
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    requests = [one for one in lines if one["event"] == "request" and one["route"] != "readyz"]
    fields = ("method", "route", "status", "tenant", "key_id")
    assert [tuple(one[name] for name in fields) for one in requests] == [
        ("PUT", "put_collection", 201, "default", "admin"),
        ("GET", "get_record", 400, "default", "admin"),
        ("GET", "livez", 200, None, None),
    ]
    assert requests[0]["request_id"] == "mine"
    assert requests[1]["request_id"] not in ("a b", "mine")
    assert all(0 <= one["ms"] < 10_000 for one in requests)


def test_the_lag_is_told_beside_a_server_that_has_the_data_in_use(asked: Server) -> None:
    _await_applied(asked, 11)
    done = lag("--data", str(asked.data), "--json", "--most-entries", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "generation": 1,
        "partition": 0,
        "entries": 0,
        "seconds": 0.0,
    }


def test_the_lag_of_nothing_makes_nothing(tmp_path: Path) -> None:
    done = lag("--data", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "There are no data" in done.stderr
    assert not (tmp_path / "none").exists()


def lag(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli", "lag", *options],
        capture_output=True,
        text=True,
        check=False,
    )
