"""Random operations, repetitions, crashes and reads, against a dictionary that knows what is right.

The machine writes one record's operations one after another, as the promise of order has it, and
asks after each that was answered what became of it. Repetitions use the key of an earlier request,
often after a crash has wiped the memory of it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.house import House

from penstock.errors import NotFound, PenstockError
from penstock.ingest import Accepted, Write
from penstock.query import Search, Settled
from penstock.records.operation import Kind
from penstock.records.outcome import Result
from penstock.records.receipt import Receipt

T = TypeVar("T")
IDS = [f"r{number}" for number in range(5)]
DATA = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 5), max_size=3)


class Known(NamedTuple):
    """What the model holds of a record: its data (None: deleted) and its version."""

    data: dict[str, Any] | None
    version: str


class Asked(NamedTuple):
    """A write that was answered, and what it came to."""

    write: Write
    settled: Settled


def merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7396 for flat objects, which is all that is made here."""
    return {k: v for k, v in (target | patch).items() if v is not None or k not in patch}


class PenstockMachine(RuleBasedStateMachine):
    """One collection, five records."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.house = House(Path(self.folder.name) / "data")
        self.model: dict[str, Known] = {}
        self.asked: list[Asked] = []
        self.receipts: dict[str, str] = {}
        self.number = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 30))

    @initialize()
    def begin(self) -> None:
        self.run(self.house.start())
        self.target = self.run(self.house.collection("things"))

    def teardown(self) -> None:
        self.run(self.house.stop())
        self.loop.close()
        self.folder.cleanup()

    @rule(record_id=st.sampled_from(IDS), data=DATA, match=st.sampled_from(["", "", "is", "not"]))
    def put(self, record_id: str, data: dict[str, Any], match: str) -> None:
        self.write(Kind.PUT, record_id, data, match)

    @rule(record_id=st.sampled_from(IDS), data=DATA)
    def put_if_absent(self, record_id: str, data: dict[str, Any]) -> None:
        self.write(Kind.PUT, record_id, data, if_absent=True)

    @rule(record_id=st.sampled_from(IDS), data=DATA)
    def create(self, record_id: str, data: dict[str, Any]) -> None:
        self.write(Kind.CREATE, record_id, data)

    @rule(record_id=st.sampled_from(IDS), data=DATA, match=st.sampled_from(["", "is", "not"]))
    def patch(self, record_id: str, data: dict[str, Any], match: str) -> None:
        self.write(Kind.PATCH, record_id, data, match)

    @rule(record_id=st.sampled_from(IDS))
    def delete(self, record_id: str) -> None:
        self.write(Kind.DELETE, record_id, None)

    @rule(record_ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=6), data=DATA)
    def bulk(self, record_ids: list[str], data: dict[str, Any]) -> None:
        lines = [
            json.dumps({"id": one, "data": data | {"n": n}}) for n, one in enumerate(record_ids)
        ]
        receipt = self.run(self._bulk([line.encode() for line in lines]))
        settled = self.run(self.house.parts.query.settled(receipt, self.house.deadline()))
        assert settled is not None
        for number, record_id in enumerate(record_ids):
            self.model[record_id] = Known(data | {"n": number}, "")

    @precondition(lambda self: self.asked)
    @rule(choice=st.integers(0, 10**6))
    def repeat(self, choice: int) -> None:
        """An earlier request again, key and all: answered alike, with no effect."""
        earlier = self.asked[choice % len(self.asked)]
        settled = self.run(self._settle(earlier.write))
        assert settled.version == earlier.settled.version
        assert code(settled) == code(earlier.settled)

    @rule()
    def crash(self) -> None:
        self.run(self._again())

    @rule(record_id=st.sampled_from(IDS), fresh=st.booleans())
    def read(self, record_id: str, fresh: bool) -> None:
        found = self.run(self._read(record_id, fresh))
        known = self.model.get(record_id)
        if known is None or known.data is None:
            assert found is None
            return
        assert found is not None
        assert found["data"] == known.data
        assert found["version"] == (known.version or found["version"])
        assert found["version"] >= known.version

    @invariant()
    def the_list_is_the_model(self) -> None:
        if not hasattr(self, "target"):
            return
        aged = self.run(
            self.house.parts.query.page(
                self.target, Search(), self._all(), fresh=True, deadline=self.house.deadline()
            )
        )
        found = {one["id"]: one["data"] for one in map(json.loads, aged.page.records)}
        assert found == {k: v.data for k, v in self.model.items() if v.data is not None}

    def write(
        self,
        kind: Kind,
        record_id: str,
        data: dict[str, Any] | None,
        match: str = "",
        *,
        if_absent: bool = False,
    ) -> None:
        self.number += 1
        known = self.model.get(record_id)
        current = known.version if known and known.data is not None and known.version else "*"
        if_match = {"": None, "is": current, "not": "0001" + "f" * 20}[match]
        body = b"" if data is None else json.dumps(data).encode()
        write = Write(kind, record_id, body, f"key-{self.number}", if_match, if_absent)
        settled = self.run(self._settle(write))
        assert code(settled) == self.expected(write, known)
        self.asked.append(Asked(write, settled))
        if settled.result is Result.APPLIED:
            self.apply(write, known, settled)

    def expected(self, write: Write, known: Known | None) -> str | None:
        """The error code that a write has to come to, None for an effect."""
        exists = known is not None and known.data is not None
        if write.if_match is not None and (not exists or write.if_match.endswith("f" * 20)):
            return "precondition_failed"
        if write.kind is Kind.CREATE and known is not None:
            return "record_exists"
        if write.if_absent and known is not None:
            return "precondition_failed"
        if write.kind is Kind.PATCH and not exists:
            return "record_not_found"
        return None

    def apply(self, write: Write, known: Known | None, settled: Settled) -> None:
        assert write.record_id is not None
        version = str(settled.version)
        if write.kind is Kind.DELETE:
            if known is not None:
                changed = known.data is not None
                self.model[write.record_id] = Known(None, version if changed else known.version)
            return
        data = json.loads(write.body)
        if write.kind is Kind.PATCH:
            assert known is not None
            assert known.data is not None
            data = merged(known.data, data)
        assert version > (known.version if known else "")
        self.model[write.record_id] = Known(data, version)

    async def _settle(self, write: Write) -> Settled:
        accepted: Accepted = await self.house.parts.ingest.write(
            self.target, write, self.house.deadline()
        )
        self.receipts[accepted.record_id] = accepted.receipt
        receipt = self.house.parts.receipts.read(accepted.receipt, "default")
        settled = await self.house.parts.query.settled(receipt, self.house.deadline())
        assert settled is not None
        return settled

    async def _bulk(self, lines: list[bytes]) -> Receipt:
        bulk = self.house.parts.ingest.bulk(self.target, None)

        async def arriving() -> Any:
            yield lines

        results = [one async for group in bulk.run(arriving()) for one in group]
        assert results == [json.loads(line)["id"] for line in lines]
        assert bulk.summary.receipt is not None
        return self.house.parts.receipts.read(bulk.summary.receipt, "default")

    async def _again(self) -> None:
        await self.house.crash()
        await self.house.start()
        self.target = await self.house.collection("things")

    async def _read(self, record_id: str, fresh: bool) -> dict[str, Any] | None:
        try:
            found = await self.house.parts.query.fetch(
                self.target, record_id, self._all(), fresh=fresh, deadline=self.house.deadline()
            )
        except NotFound:
            return None
        read: dict[str, Any] = json.loads(found.body)
        assert found.version == read["version"]
        return read

    def _all(self) -> list[Receipt]:
        return [self.house.parts.receipts.read(one, "default") for one in self.receipts.values()]


def code(settled: Settled) -> str | None:
    return settled.error.code if isinstance(settled.error, PenstockError) else None


PenstockMachine.TestCase.settings = settings(
    max_examples=min(20, settings().max_examples),
    stateful_step_count=30,
    deadline=None,
    derandomize=False,
)
TestPenstock = PenstockMachine.TestCase
