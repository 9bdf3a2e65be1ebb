"""One request over real HTTP, sent as it is given: nothing is normalised on the way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.support.server import Server


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def code(self) -> str | None:
        """The code, where it is a problem."""
        problem = self.headers["content-type"] == "application/problem+json"
        return str(self.json["code"]) if problem else None


class Caller:
    """Asks a server with its key. A body that is not bytes is sent in chunks."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def __call__(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        given = {"Authorization": f"Bearer {Server.KEY}", **(headers or {})}
        connection = HTTPConnection(urlsplit(self.server.url).netloc, timeout=60)
        try:
            connection.request(method, target, body, given)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    def put(self, target: str, value: Any, **headers: str) -> Reply:
        """Put a JSON value."""
        content = {"Content-Type": "application/json", **headers}
        return self("PUT", target, json.dumps(value).encode(), content)

    def bulk(self, collection: str, body: bytes | Iterable[bytes], **headers: str) -> Reply:
        """Send lines."""
        content = {"Content-Type": "application/x-ndjson", **headers}
        return self("POST", f"/v1/collections/{collection}/records:bulk", body, content)
