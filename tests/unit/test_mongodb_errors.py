"""What errors of MongoDB mean, and calls that go on to their end."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from penstock.adapters.mongodb.connection import apart, duplicates, store_errors
from penstock.errors import Unavailable

DUPLICATE = {"index": 3, "code": 11000, "errmsg": "E11000"}


def bulk(*errors: dict[str, Any], concern: bool = False) -> BulkWriteError:
    failed = [{"code": 64, "errmsg": "waiting for replication timed out"}] if concern else []
    return BulkWriteError({"writeErrors": list(errors), "writeConcernErrors": failed})


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("connection closed"),
        NotPrimaryError("not primary"),
        NetworkTimeout("timed out"),
        ServerSelectionTimeoutError("no primary"),
        WaitQueueTimeoutError("no free connection"),
        ExecutionTimeout("operation exceeded time limit", 50),
        WriteConcernError("not enough members", 100),
        WTimeoutError("waiting for replication timed out", 64),
        OperationFailure("interrupted at shutdown", 11600),
        OperationFailure("stepped down", 189),
        OperationFailure("no space left", 14031),
        OperationFailure("not authorized", 13),
        OperationFailure("authentication failed", 18),
        bulk(DUPLICATE, concern=True),
        bulk(DUPLICATE, {"index": 4, "code": 11602, "errmsg": "interrupted"}),
    ],
    ids=lambda error: f"{type(error).__name__}-{getattr(error, 'code', None)}",
)
def test_what_passes_is_unavailable(error: PyMongoError) -> None:
    with pytest.raises(Unavailable) as caught, store_errors():
        raise error
    assert (caught.value.code, caught.value.retry_after) == ("store_unavailable", 1)
    assert caught.value.internal == str(error)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        OperationFailure("document validation failed", 121),
        bulk({"index": 0, "code": 121, "errmsg": "document validation failed"}),
        bulk(DUPLICATE),
    ],
    ids=lambda error: f"{type(error).__name__}-{error.code}",
)
def test_what_does_not_pass_by_itself_stays_what_it_is(error: PyMongoError) -> None:
    with pytest.raises(type(error)) as caught, store_errors():
        raise error
    assert caught.value is error


def test_the_places_of_documents_that_existed_are_named() -> None:
    assert duplicates(bulk(DUPLICATE, DUPLICATE | {"index": 5})) == [3, 5]


@pytest.mark.parametrize(
    "error",
    [bulk(DUPLICATE, concern=True), bulk(DUPLICATE, {"index": 4, "code": 11602, "errmsg": "x"})],
)
def test_whatever_else_went_wrong_is_not_taken_for_a_duplicate(error: BulkWriteError) -> None:
    with pytest.raises(BulkWriteError) as caught:
        duplicates(error)
    assert caught.value is error


async def test_what_runs_apart_ends_by_itself_though_who_asked_is_cancelled() -> None:
    may_end, ended = asyncio.Event(), asyncio.Event()

    @apart
    async def call(number: int) -> int:
        await may_end.wait()
        ended.set()
        return number

    asking = asyncio.create_task(call(5))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not ended.is_set()
    may_end.set()
    await asyncio.wait_for(ended.wait(), 1)
    assert await call(7) == 7


async def test_what_fails_apart_when_nobody_waits_any_more_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    may_fail = asyncio.Event()

    @apart
    async def call() -> None:
        await may_fail.wait()
        raise Unavailable("store_unavailable")

    asking = asyncio.create_task(call())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    may_fail.set()
    await asyncio.sleep(0.01)
    gc.collect()
    assert caplog.records == []
    with pytest.raises(Unavailable):
        await call()
