"""Connecting to MongoDB, and what its errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import AsyncMongoClient, ReadPreference, ReplaceOne, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern

from penstock.errors import ConfigurationError, DeadlineExceeded, Unavailable

Document = dict[str, Any]
Client = AsyncMongoClient[Document]
Database = AsyncDatabase[Document]
Collection = AsyncCollection[Document]

P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT_S: Final = 5.0
DUPLICATE_KEY: Final = 11000

_OPTIONS: Final[CodecOptions[Document]] = CodecOptions(
    # Milliseconds as they stand there: a `datetime` costs more and ends at the year 9999.
    datetime_conversion=DatetimeConversion.DATETIME_MS
)
_MAJORITY: Final = "majority"
_FOR_THE_MOMENT: Final = frozenset({
    # MongoDB, src/mongo/base/error_codes.yml: networks, elections, shutdowns, interruptions, time
    # limits, killed cursors, conflicting writes, write concerns, shards that move, full disks; and
    # rights and passwords, which are the operator's to mend.
    6, 7, 13, 18, 24, 43, 50, 64, 89, 91, 100, 107, 112, 134, 150, 175, 189, 202, 237, 262, 279,
    314, 355, 365, 384, 402, 406, 407, 9001, 10058, 10107, 11600, 11601, 11602, 13388, 13435,
    13436, 14031,
})  # fmt: skip


def connect(url: str, timeout_s: float) -> Client:
    """A client, which connects when it is first used, and belongs to the loop that it is used on.

    Args:
        url: of MongoDB, with whatever else it says of TLS and credentials.
        timeout_s: of each operation, with the search for a primary and all retries.

    Raises `ConfigurationError` for an address that is none.
    """
    try:
        return AsyncMongoClient(url, timeoutMS=round(timeout_s * 1000), appname="penstock")
    except (PyMongoError, ValueError):
        # What the driver says may hold a part of the address, and so of a password.
        raise ConfigurationError(
            "PENSTOCK_STORE_URL is no address of MongoDB's (mongodb://user:password@host:port/?…, "
            "with reserved characters in user and password percent-encoded), or has an option that "
            "is wrong."
        ) from None


def database_of(client: Client, name: str) -> Database:
    """Its primary's newest state; what is written is on a majority, on disk, when that returns."""
    return client.get_database(
        name,
        codec_options=_OPTIONS,
        read_preference=ReadPreference.PRIMARY,
        read_concern=ReadConcern("local"),
        write_concern=WriteConcern(_MAJORITY),
    )


def settled(collection: Collection) -> Collection:
    """The same for reading: only what a majority has, which no change of primary takes back."""
    return collection.with_options(read_concern=ReadConcern(_MAJORITY))


def apart(
    call: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Runs in a task of its own, and goes on to its end though who asked for it is cancelled.

    Where a task that waits for a connection is cancelled while its time runs out as well, the
    driver's pool keeps its lock for ever (seen with 4.20), and nobody gets a connection again.
    """

    @wraps(call)
    async def called(*args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.create_task(call(*args, **kwargs))
        # Of one that nobody waits for any more, asyncio would log whatever it raises.
        task.add_done_callback(_heed)
        return await asyncio.shield(task)

    return called


def _heed(task: asyncio.Task[T]) -> None:
    if not task.cancelled():
        task.exception()


@contextmanager
def store_errors() -> Iterator[None]:
    """What MongoDB cannot do for the moment is `store_unavailable`."""
    try:
        yield
    except PyMongoError as error:
        if not _is_for_the_moment(error):
            raise
        raise Unavailable("store_unavailable", retry_after=1, internal=str(error)) from error


@contextmanager
def limited(time_s: float | None, timeout_s: float) -> Iterator[None]:
    """Ends what takes longer, here and on the server.

    Args:
        time_s: seconds, after which it is late: `DeadlineExceeded`; None for the client's own.
        timeout_s: the client's own, after which the server counts as away: `Unavailable`.
    """
    if time_s is None:
        with store_errors():
            yield
        return
    if time_s <= 0:
        raise DeadlineExceeded
    try:
        with store_errors(), pymongo.timeout(min(time_s, timeout_s)):
            yield
    except Unavailable as error:
        is_late = isinstance(error.__cause__, PyMongoError) and error.__cause__.timeout
        if is_late and time_s < timeout_s:
            raise DeadlineExceeded from error
        raise


def duplicates(error: BulkWriteError) -> list[int]:
    """The places of the documents not inserted because their ids existed.

    Raises the error itself where anything else went wrong as well.
    """
    errors = error.details["writeErrors"]
    if error.details["writeConcernErrors"] or any(one["code"] != DUPLICATE_KEY for one in errors):
        raise error
    return [one["index"] for one in errors]


def _is_for_the_moment(error: PyMongoError) -> bool:
    if isinstance(error, BulkWriteError):
        return bool(error.details["writeConcernErrors"]) or any(
            one["code"] in _FOR_THE_MOMENT for one in error.details["writeErrors"]
        )
    if isinstance(error, ConnectionFailure | WriteConcernError | ExecutionTimeout):
        return True
    return error.timeout or (isinstance(error, OperationFailure) and error.code in _FOR_THE_MOMENT)


async def insert_or_replace(collection: Collection, documents: Sequence[Document]) -> None:
    """Write documents, nearly all of which are new: several times cheaper than as upserts."""
    if not documents:
        return
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        known = [documents[place] for place in duplicates(error)]
        changes = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in known]
        await collection.bulk_write(changes, ordered=False)
