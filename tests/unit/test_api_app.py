"""What the application makes of requests, and of what goes wrong below it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.asgi import Client, application_of
from tests.support.house import House

from penstock.errors import OutcomeUnknown

JSON = ("content-type", "application/json")
LINES = ("content-type", "application/x-ndjson")
RECORDS = "/v1/collections/c/records"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, idle_ms=100, deadline_ms=300, max_body_bytes=2000, max_bulk_bytes=5000)
    await house.start()
    await house.collection("c")
    yield house
    await house.stop()


@pytest.fixture
def client(house: House) -> Client:
    return Client(application_of(house))


class Part:
    """Stands in for a part of the house that does one thing badly."""

    def __init__(self, **methods: Any) -> None:
        for name, method in methods.items():
            setattr(self, name, method)


async def never(*_args: Any, **_named: Any) -> Any:
    await asyncio.Event().wait()


async def defect(*_args: Any, **_named: Any) -> Any:
    raise ZeroDivisionError("secret")


async def records(client: Client, receipt: str = "") -> list[Any]:
    presented = [("penstock-receipt", receipt)] if receipt else []
    reply = await client("GET", f"{RECORDS}?page_size=100", headers=presented)
    found: list[Any] = reply.json["records"]
    return found


async def entries(house: House) -> int:
    """How many the log holds."""
    return sum(one.end - one.start for one in (await house.engines.log.bounds()).values())


async def test_the_key_comes_before_everything_but_the_public_addresses(client: Client) -> None:
    client.key = "wrong"
    for method, path in (("GET", "/nowhere"), ("PATCH", "/v1/collections"), ("GET", RECORDS)):
        assert (await client(method, path)).status == 401
    assert (await client("GET", "/livez")).status == 200
    assert (await client("POST", "/livez")).status == 405


async def test_the_answer_to_no_key_and_to_a_wrong_one_is_the_same(client: Client) -> None:
    bodies = []
    for key in ("", "wrong"):
        client.key = key
        reply = await client("GET", RECORDS, headers=[("x-request-id", "same")])
        bodies.append((reply.status, reply.headers, reply.body))
    assert bodies[0] == bodies[1]


async def test_a_request_id_is_adopted_or_made_and_never_made_twice(client: Client) -> None:
    assert (await client("GET", "/livez", headers=[("x-request-id", "mine")])).headers[
        "x-request-id"
    ] == "mine"
    made = {(await client("GET", "/livez")).headers["x-request-id"] for _ in range(10)}
    assert len(made) == 10


async def test_head_answers_as_get_without_the_body(client: Client) -> None:
    get, head = await client("GET", "/v1/collections"), await client("HEAD", "/v1/collections")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(get.body))


@pytest.mark.parametrize("method", ["POST", "TRACE", "PROPFIND"])
async def test_a_method_that_an_address_does_not_take_is_405(client: Client, method: str) -> None:
    reply = await client(method, f"{RECORDS}/a", b"{}", [JSON])
    assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"


async def test_options_says_what_an_address_takes_to_those_who_have_a_key(client: Client) -> None:
    reply = await client("OPTIONS", f"{RECORDS}/a")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
    everywhere = await client("OPTIONS", "*")
    assert everywhere.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    client.key = "wrong-0123456789abc"
    assert (await client("OPTIONS", f"{RECORDS}/a")).status == 401
    assert (await client("OPTIONS", "/livez")).status == 204


async def test_a_defect_is_answered_without_its_details(house: House) -> None:
    client = Client(application_of(house, query=Part(fetch=defect)))
    reply = await client("GET", f"{RECORDS}/a")
    assert (reply.status, reply.json["code"]) == (500, "internal")
    assert b"secret" not in reply.body
    assert b"ZeroDivision" not in reply.body


async def test_a_read_that_hangs_is_refused_at_its_deadline(house: House) -> None:
    client = Client(application_of(house, query=Part(fetch=never)))
    before = asyncio.get_running_loop().time()
    reply = await client("GET", f"{RECORDS}/a")
    assert (reply.status, reply.json["code"]) == (503, "deadline_exceeded")
    assert 0.3 <= asyncio.get_running_loop().time() - before < 1


async def test_a_write_that_hangs_has_an_unknown_outcome(house: House) -> None:
    client = Client(application_of(house, ingest=Part(write=never)))
    reply = await client("PUT", f"{RECORDS}/a", b"{}", [JSON])
    assert (reply.status, reply.json["code"]) == (503, "outcome_unknown")


@pytest.mark.parametrize("settled", [never, defect])
async def test_a_durable_write_is_never_denied_whatever_the_wait_for_it_comes_to(
    house: House, settled: Any
) -> None:
    client = Client(application_of(house, query=Part(settled=settled)))
    reply = await client("PUT", f"{RECORDS}/a?ack=applied", b"{}", [JSON])
    assert (reply.status, reply.json["status"]) == (202, "durable")


async def test_a_stop_that_waits_no_longer_says_what_is_known(house: House) -> None:
    for part, method, body, code in (
        ({"query": Part(fetch=never)}, "GET", b"", "shutting_down"),
        ({"ingest": Part(write=never)}, "PUT", b"{}", OutcomeUnknown().code),
    ):
        client = Client(application_of(house, **part))
        task = asyncio.create_task(client(method, f"{RECORDS}/a", body, [JSON]))
        await asyncio.sleep(0.01)
        task.cancel()
        assert (await task).json["code"] == code


async def test_a_body_that_does_not_come_is_408_and_the_connection_is_closed(
    client: Client,
) -> None:
    reply = await client("PUT", f"{RECORDS}/a", [b'{"a"'], [JSON], silent=True)
    assert (reply.status, reply.json["code"]) == (408, "request_timeout")
    assert reply.headers["connection"] == "close"
    assert await records(client) == []


async def test_a_body_that_is_cut_off_writes_nothing(client: Client) -> None:
    reply = await client("PUT", f"{RECORDS}/a", [b"{}"], [JSON], stays=False)
    assert reply.status == 0
    assert await records(client) == []


async def test_a_client_that_holds_its_body_back_is_told_that_the_connection_ends(
    client: Client,
) -> None:
    expect = ("expect", "100-continue")
    reply = await client("PUT", f"{RECORDS}/a", b"{}", [("content-type", "text/plain"), expect])
    assert (reply.status, reply.headers["connection"]) == (415, "close")


@pytest.mark.parametrize(
    "pieces",
    [[b'{"a":"' + b"x" * 2000 + b'"}'], [b'{"a":"', *[b"x" * 500] * 4, b'"}']],
)
async def test_a_body_over_the_limit_is_413_declared_or_not(
    client: Client, pieces: list[bytes]
) -> None:
    for body in (pieces, b"".join(pieces)):
        reply = await client("PUT", f"{RECORDS}/a", body, [JSON])
        assert (reply.status, reply.json["code"]) == (413, "body_too_large")


async def test_a_declared_body_over_the_limit_is_refused_unread(client: Client) -> None:
    headers = [JSON, ("content-length", "2001")]
    reply = await client("PUT", f"{RECORDS}/a", b"", headers, silent=True)
    assert reply.status == 413


async def test_a_body_in_pieces_is_put_together_and_undone(client: Client) -> None:
    wire = gzip.compress(b'{"a":[1,2,3]}')
    headers = [("content-type", 'application/json; charset="UTF-8"'), ("content-encoding", "gzip")]
    reply = await client("PUT", f"{RECORDS}/a?ack=applied", [wire[:9], wire[9:]], headers)
    assert reply.status == 201
    assert (await client("GET", f"{RECORDS}/a")).json["data"] == {"a": [1, 2, 3]}


async def test_a_bulk_that_turns_bad_in_the_midst_ends_with_the_problem(client: Client) -> None:
    line = b'{"data":{"a":"' + b"x" * 2000 + b'"}}\n'
    reply = await client("POST", f"{RECORDS}:bulk", [line] * 3, [LINES])
    assert reply.status == 200
    *results, last = reply.lines
    assert [one["index"] for one in results] == [0, 1]
    assert (last["done"], last["accepted"], last["problem"]["code"]) == (False, 2, "body_too_large")
    assert len(await records(client, last["receipt"])) == 2


async def test_a_bulk_whose_client_falls_silent_ends_with_408_and_keeps_what_it_has(
    client: Client,
) -> None:
    reply = await client("POST", f"{RECORDS}:bulk", [b'{"data":{}}\n'], [LINES], silent=True)
    assert [one.get("status", one.get("done")) for one in reply.lines] == ["durable", False]
    assert reply.lines[-1]["problem"]["code"] == "request_timeout"
    assert reply.complete


async def test_a_bulk_whose_client_is_gone_leaves_nothing_running(
    house: House, client: Client
) -> None:
    before = len(asyncio.all_tasks())
    reply = await client("POST", f"{RECORDS}:bulk", [b'{"data":{}}\n'], [LINES], stays=False)
    assert not reply.complete
    assert len(asyncio.all_tasks()) == before
    assert await entries(house) == 1


async def test_a_stop_that_waits_no_longer_ends_a_bulk_with_its_last_line(
    tmp_path: Path,
) -> None:
    patient = House(tmp_path, idle_ms=60_000)
    await patient.start()
    await patient.collection("c")
    client = Client(application_of(patient))
    before = asyncio.all_tasks()
    task = asyncio.create_task(
        client("POST", f"{RECORDS}:bulk", [b'{"data":{}}\n'], [LINES], silent=True)
    )
    async with asyncio.timeout(10):
        await client.answering.wait()
    task.cancel()
    reply = await task
    assert [one.get("status", one.get("done")) for one in reply.lines] == ["durable", False]
    assert reply.lines[-1]["problem"]["code"] == "shutting_down"
    assert asyncio.all_tasks() <= before
    await patient.stop()


async def test_a_bulk_that_is_bad_from_the_start_is_an_ordinary_problem(client: Client) -> None:
    for headers, status in (
        ([JSON], 415),
        ([LINES, ("content-encoding", "gzip")], 400),
        ([LINES, ("content-length", "5001")], 413),
    ):
        reply = await client("POST", f"{RECORDS}:bulk", [b"{}\n"], headers)
        assert (reply.status, reply.complete) == (status, True)
    missing = await client("POST", "/v1/collections/none/records:bulk", [b"{}\n"], [LINES])
    assert missing.json["code"] == "collection_not_found"


async def test_an_empty_bulk_is_done_at_once(client: Client) -> None:
    reply = await client("POST", f"{RECORDS}:bulk", b"", [LINES])
    assert reply.lines == [{"done": True, "accepted": 0, "refused": 0}]


async def test_a_bulk_names_each_line_and_only_the_good_ones_are_written(client: Client) -> None:
    body = b'{"id":"\\"q\\\\","data":{"n":1}}\nnope\n\n{"id":7}\n{"id":"z","data":{"n":2}}'
    reply = await client("POST", f"{RECORDS}:bulk", body, [LINES])
    *results, last = reply.lines
    assert [one["index"] for one in results] == [0, 1, 2, 3, 4]
    assert [one.get("id") for one in results] == ['"q\\', None, None, None, "z"]
    codes = [one["problem"]["code"] for one in results if "problem" in one]
    assert codes == ["malformed_json", "invalid_line", "invalid_line"]
    assert (last["done"], last["accepted"], last["refused"]) == (True, 2, 3)
    written = await records(client, last["receipt"])
    assert [(one["id"], one["data"]) for one in written] == [
        ('"q\\', {"n": 1}),
        ("z", {"n": 2}),
    ]


async def test_readiness_says_what_is_missing(house: House) -> None:
    async def unready() -> str | None:
        return "The worker has stopped."

    reply = await Client(application_of(house, ready=unready))("GET", "/readyz")
    assert (reply.status, reply.json) == (
        503,
        {"status": "unready", "reason": "The worker has stopped."},
    )
