"""A batch to the server, until it is answered: repeated as often as it takes, of one effect."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import httpx
import msgspec
import typer

from penstock.api.messages import BulkDone, BulkFailed, LineRefused, Problem
from penstock.cli.client import Client, Refusal, segment
from penstock.cli.exits import Exit, Failed
from penstock.cli.importing.line import Line

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0
_STATUS_EVERY_S: Final = 0.05

_Answer = TypeVar("_Answer")

_decode_refused: Final = msgspec.json.Decoder(LineRefused).decode
_decode_done: Final = msgspec.json.Decoder(BulkDone).decode
_decode_failed: Final = msgspec.json.Decoder(BulkFailed).decode


class Refused(NamedTuple):
    """A line that was not written, and what the server says of it."""

    line: Line
    problem: Problem


class Sent(NamedTuple):
    """What became of a batch; `receipt` is None where nothing of it was written."""

    accepted: int
    refused: list[Refused]
    receipt: str | None


class Sender:
    """Sends batches to one collection.

    Args:
        client: to whom.
        collection: its name.
        retry_for_s: for how long a batch that is not answered is sent again.
        sleep, monotonic: of `time`.
    """

    def __init__(
        self,
        client: Client,
        collection: str,
        retry_for_s: float,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._path = f"/v1/collections/{segment(collection)}/records:bulk"
        self._retry_for_s = retry_for_s
        self._sleep = sleep
        self._monotonic = monotonic

    def send(self, lines: list[Line], key: str) -> Sent:
        """Send, and send again. `key` makes the repetitions one. Raises `Failed`."""
        content = b"\n".join([line.bulk for line in lines])
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        return self._until_answered(
            lambda: _read(self._client.ask("POST", self._path, content, headers=headers), lines)
        )

    def settle(self, receipt: str) -> None:
        """Wait until what a receipt stands for is applied, and so readable by all."""
        while self._until_answered(lambda: self._status(receipt)) == "durable":
            self._sleep(_STATUS_EVERY_S)

    def _status(self, receipt: str) -> str:
        return str(self._client.ask("GET", f"/v1/receipts/{receipt}").json()["status"])

    def _until_answered(self, ask: Callable[[], _Answer]) -> _Answer:
        pause, until = _FIRST_PAUSE_S, 0.0
        while True:
            try:
                return ask()
            except Failed as failed:
                now = self._monotonic()
                until = until or now + self._retry_for_s
                wait = max(pause * random.uniform(0.5, 1), _asked_wait(failed))  # noqa: S311  # spreads the clients, hides nothing
                if not _may_pass(failed) or now + wait > until:
                    raise
                typer.echo(f"penstock: {failed}; again in {wait:.1f} s", err=True)
                self._sleep(wait)
                pause = min(2 * pause, _LONGEST_PAUSE_S)


def _may_pass(failed: Failed) -> bool:
    if isinstance(failed, Refusal):
        return failed.problem.retryable
    return failed.code is Exit.UNREACHABLE


def _asked_wait(failed: Failed) -> float:
    return failed.retry_after if isinstance(failed, Refusal) else 0.0


def _read(answer: httpx.Response, lines: list[Line]) -> Sent:
    """What a bulk was answered. Raises `Failed` where that is not all: earlier results stand."""
    *results, last = answer.content.rstrip(b"\n").split(b"\n")
    try:
        done = _decode_done(last)
    except msgspec.DecodeError:
        raise _unfinished(last) from None
    refused = [_decode_refused(one) for one in results if b'"problem":' in one]
    receipt = done.receipt or None
    return Sent(done.accepted, [Refused(lines[one.index], one.problem) for one in refused], receipt)


def _unfinished(last: bytes) -> Failed:
    try:
        return Refusal(_decode_failed(last).problem)
    except msgspec.DecodeError:
        return Failed("the answer ended before its last line", Exit.UNREACHABLE)
