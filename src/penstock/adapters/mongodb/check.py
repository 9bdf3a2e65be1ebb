"""The check of a MongoDB as the store and the catalog."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, TypeVar

from pymongo.errors import OperationFailure, PyMongoError

from penstock.adapters.mongodb import inspection
from penstock.adapters.mongodb.connection import TIMEOUT_S, Client, Document, connect, database_of
from penstock.adapters.mongodb.layout import Layout
from penstock.adapters.mongodb.trial import Trial
from penstock.ports.check import Finding, Level, clock_skew, failure, warning
from penstock.ports.clock import Clock
from penstock.ports.entropy import Entropy

_SUFFIX_BITS: Final = 64
_COMPATIBILITY: Final = "featureCompatibilityVersion"
_NOT_ALLOWED: Final = frozenset({13, 8000})
"""Unauthorized, and what Atlas says of commands that it keeps to itself."""

_T = TypeVar("_T")
_Step = Callable[[], Awaitable[Finding]]


class MongoCheck:
    """`ports.check.Check` of a server, a replica set or a sharded cluster.

    Args:
        url: of MongoDB, with whatever else it says of TLS and credentials.
        database: its name.
        record_bytes: of the largest record, as canonical JSON.
        clock: to compare the server's with.
        entropy: for the name of what is made for the trial.
    """

    def __init__(
        self, url: str, database: str, record_bytes: int, clock: Clock, entropy: Entropy
    ) -> None:
        self._url = url
        self._database = database
        self._record_bytes = record_bytes
        self._clock = clock
        self._collection_id = f"check{entropy.bits(_SUFFIX_BITS):016x}"

    async def findings(self) -> AsyncGenerator[Finding, None]:
        try:
            client = connect(self._url, TIMEOUT_S)
        except PyMongoError as error:
            yield failure("address", _reason(error), "PENSTOCK_STORE_URL cannot be used as it is.")
            return
        async with client:
            try:
                described = await self._described(client)
            except PyMongoError as error:
                problem = "See that it runs, and that PENSTOCK_STORE_URL says how to reach it."
                yield failure("servers", f"no primary answers: {_reason(error)}", problem)
                return
            for one in [*described, *await self._try(client)]:
                yield one

    async def _described(self, client: Client) -> list[Finding]:
        """What it says of itself. Raises the driver's errors."""
        before = self._clock.now()
        hello = await _ask(client, {"hello": 1})
        after = self._clock.now()
        findings = [
            inspection.kind(hello),
            await self._version(client),
            inspection.size(hello, self._record_bytes),
            clock_skew(before, int(hello["localTime"]), after),
        ]
        return findings + (await self._replica_set(client) if "setName" in hello else [])

    async def _version(self, client: Client) -> Finding:
        information = await client.server_info()
        asked = await _if_allowed(_ask(client, {"getParameter": 1, _COMPATIBILITY: 1}))
        compatibility = None if asked is None else str(asked[_COMPATIBILITY]["version"])
        return inspection.version(str(information["version"]), compatibility)

    async def _replica_set(self, client: Client) -> list[Finding]:
        status = await _if_allowed(_ask(client, {"replSetGetStatus": 1}))
        configuration = await _if_allowed(_ask(client, {"replSetGetConfig": 1}))
        oplog = await _if_allowed(_oplog(client))
        if status is None or configuration is None or oplog is None:
            problem = "Grant the role clusterMonitor, to have members, journal and oplog checked."
            return [warning("members", "not shown to this user", problem)]
        return [inspection.members(status), inspection.journaling(configuration), oplog]

    async def _try(self, client: Client) -> list[Finding]:
        trial = Trial(Layout(client, self._database), self._collection_id, self._clock.now())
        findings: list[Finding] = []
        try:
            findings.append(await _tried("making a collection", trial.make))
            # What cannot be made cannot be written to either.
            if findings[0].level is Level.OK:
                findings += [
                    await _tried("awkward names", trial.names),
                    await _tried("conditional write", trial.conditional_write),
                    await _tried("majority read", trial.majority_read),
                    await _tried("linearizable read", trial.linearizable_read),
                ]
        finally:
            findings.append(await _tried("dropping a collection", trial.remove))
        return findings


async def _tried(subject: str, step: _Step) -> Finding:
    try:
        return await step()
    except PyMongoError as error:
        problem = "See the user's rights (readWrite on the database will do), and the server's log."
        return failure(subject, _reason(error), problem)


async def _ask(client: Client, command: Document) -> Document:
    # With the store's options: dates are numbers of milliseconds.
    admin = database_of(client, "admin")
    return await admin.command(command, codec_options=admin.codec_options)


async def _oplog(client: Client) -> Finding:
    entries = client["local"]["oplog.rs"]
    ends = [
        await entries.find_one(sort=[("$natural", order)], projection=["ts"]) for order in (1, -1)
    ]
    first, last = (one["ts"] for one in ends if one is not None)
    return inspection.oplog(await client["local"].command("collStats", "oplog.rs"), first, last)


async def _if_allowed(asked: Awaitable[_T]) -> _T | None:
    """What is asked; None for a user who may not."""
    try:
        return await asked
    except OperationFailure as error:
        if error.code not in _NOT_ALLOWED:
            raise
        return None


def _reason(error: PyMongoError) -> str:
    """Its sentence, without the settings and the topology that the driver puts behind it."""
    text = str(error)
    if isinstance(error, OperationFailure) and error.details:
        text = str(error.details.get("errmsg", text))
    return text.partition(", Timeout:")[0].partition(" (configured timeouts")[0]
