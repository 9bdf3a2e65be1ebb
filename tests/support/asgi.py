"""An application called in this process, without a socket: bytes in, bytes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.support.house import KEY, House

from penstock.api.app import Application
from penstock.api.asgi import Message
from penstock.api.services import Below

HeaderList = Sequence[tuple[str, str]]


def application_of(house: House, **replaced: Any) -> Application:
    """The API on a house that has started, with some of its parts replaced."""
    engines, parts = house.engines, house.parts
    below: dict[str, Any] = {
        "access": parts.access,
        "limits": parts.limits,
        "ingest": parts.ingest,
        "query": parts.query,
        "quarantine": parts.quarantine,
        "receipts": parts.receipts,
        "keys": parts.keys,
        "metrics": engines.metrics,
        "traces": engines.traces,
    }
    ready = replaced.pop("ready", _ready)
    more = {name: replaced.pop(name) for name in ("routes", "vouchers") if name in replaced}
    return Application(
        Below(**(below | replaced)),
        engines.clock,
        engines.entropy,
        house.configuration,
        ready,
        **more,
    )


async def _ready() -> str | None:
    return None


class Reply(NamedTuple):
    """What came back; `complete` says whether the answer was finished."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


class Client:
    """Calls the application. A body given as a list arrives in as many pieces.

    With `stays=False`, the connection is lost after the last piece, and the body is not whole.

    Attributes:
        answering: set when the first of an answer's body has come.
    """

    def __init__(self, application: Application, key: str = KEY) -> None:
        self.application = application
        self.key = key
        self.answering = asyncio.Event()

    async def __call__(
        self,
        method: str,
        target: str,
        body: bytes | list[bytes] = b"",
        headers: HeaderList = (),
        *,
        stays: bool = True,
        silent: bool = False,
    ) -> Reply:
        path, _, query = target.partition("?")
        pieces = body if isinstance(body, list) else [body]
        given = [("authorization", f"Bearer {self.key}"), *headers]
        if isinstance(body, bytes) and body:
            given.append(("content-length", str(len(body))))
        elif isinstance(body, list):
            given.append(("transfer-encoding", "chunked"))
        incoming: list[Message] = [
            {
                "type": "http.request",
                "body": piece,
                "more_body": number < len(pieces) or not stays or silent,
            }
            for number, piece in enumerate(pieces, 1)
        ]
        if not stays:
            incoming.append({"type": "http.disconnect"})
        incoming.reverse()
        sent: list[Message] = []

        async def receive() -> Message:
            if not incoming:
                await asyncio.Event().wait()
            return incoming.pop()

        async def send(message: Message) -> None:
            sent.append(message)
            if message["type"] == "http.response.body":
                self.answering.set()

        scope = {
            "type": "http",
            "method": method,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given],
        }
        await self.application(scope, receive, send)
        return _reply(sent)


def _reply(sent: list[Message]) -> Reply:
    if not sent:
        return Reply(0, {}, b"", complete=False)
    start, *rest = sent
    return Reply(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message["body"] for message in rest),
        bool(rest) and not rest[-1].get("more_body", False),
    )
