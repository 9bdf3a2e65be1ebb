"""Asking a server: one request, one answer, and a sentence where it is not the one hoped for."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

import httpx
import msgspec
import typer

from penstock.api.messages import Problem
from penstock.cli.exits import Exit, Failed, told

_TIMEOUT_S: Final = 30.0
_SERVER_ERROR: Final = 500

Url = Annotated[str, typer.Option("--url", envvar="PENSTOCK_URL", help="Address of the server.")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar=["PENSTOCK_KEY", "PENSTOCK_ADMIN_KEY"],
        help="Key; without it, the one kept in the data directory.",
        show_envvar=True,
    ),
]
Data = Annotated[
    Path,
    typer.Option("--data", envvar="PENSTOCK_DATA", help="Data directory of a server here."),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        envvar="PENSTOCK_CA",
        help="PEM file of the authority behind the server's certificate, if it is one of your own.",
    ),
]
trusted: Final[ContextVar[Path | None]] = ContextVar("trusted", default=None)
"""What `--ca` says: it stands before the command, and counts for whatever that asks."""

DEFAULT_URL: Final = "http://127.0.0.1:8080"
DEFAULT_DATA: Final = Path("data")


class Client:
    """A server, and the key to it."""

    def __init__(self, url: str, key: str, ca: Path | None = None) -> None:
        try:
            self._http = httpx.Client(
                base_url=url,
                headers={"Authorization": f"Bearer {key}"},
                timeout=_TIMEOUT_S,
                verify=True if ca is None else _trusting(ca),
            )
        except (httpx.InvalidURL, UnicodeEncodeError):
            raise Failed(f"{url!r} with this key is no address to ask", Exit.USAGE) from None
        self._url = url

    def ask(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer, with status 2xx. Raises `Failed` for any other, and for none."""
        given = {"Content-Type": "application/json"} if content is not None else {}
        try:
            answer = self._http.request(
                method, path, content=content, headers={**given, **(headers or {})}, params=params
            )
        except httpx.InvalidURL as error:
            raise Failed(f"{self._url} is no address: {error}", Exit.USAGE) from None
        except httpx.UnsupportedProtocol:
            raise Failed(f"{self._url} is no http:// or https:// address", Exit.USAGE) from None
        except httpx.TransportError as error:
            raise Failed(f"no answer from {self._url}: {error}", Exit.UNREACHABLE) from error
        if not answer.is_success:
            raise _refusal(answer)
        return answer

    def close(self) -> None:
        self._http.close()


class Refusal(Failed):
    """An answer that is a problem.

    Attributes:
        problem: it.
        retry_after: seconds that the server asks to be left alone; 0 where it does not say.
    """

    def __init__(self, problem: Problem, retry_after: float = 0.0) -> None:
        code = Exit.UNREACHABLE if problem.status >= _SERVER_ERROR else Exit.REFUSED
        super().__init__(sentence_of(problem), code)
        self.problem = problem
        self.retry_after = retry_after


def _refusal(answer: httpx.Response) -> Refusal:
    wait = answer.headers.get("retry-after", "")
    return Refusal(_problem(answer), float(wait) if wait.isdecimal() else 0.0)


def _problem(answer: httpx.Response) -> Problem:
    """The problem (RFC 9457) in an answer; something between us and Penstock may answer too."""
    try:
        return msgspec.json.decode(answer.content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        status, reason = answer.status_code, answer.reason_phrase
        detail = f"The answer was {status} {reason}, and not of Penstock's making."
        return Problem("about:blank", reason, status, detail, "foreign", answer.is_server_error)


def sentence_of(problem: Problem) -> str:
    """What is wrong, with the places, and the id under which the server's log has it."""
    errors = problem.errors or []
    places = "; ".join(f"{one.pointer or '/'}: {one.detail}" for one in errors)
    told_where = f" ({places})" if places and places != f"/: {problem.detail}" else ""
    request = f" [request {problem.request_id}]" if problem.status >= _SERVER_ERROR else ""
    return f"{problem.code}: {problem.detail}{told_where}{request}"


@contextmanager
def connected(url: str, key: str | None, data: Path) -> Iterator[Client]:
    """A client, for the body of a command: whatever goes wrong there is told, not traced."""
    with told():
        client = Client(url, key or _kept_key(data), trusted.get())
        try:
            yield client
        finally:
            client.close()


def segment(text: str) -> str:
    """A name or id as one segment of a path, also where it is `.` or `..` or holds slashes."""
    return text.replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


def _trusting(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if type(error) is not ssl.SSLError else "it holds no certificate"
        raise Failed(f"cannot use {ca} for --ca: {why}", Exit.USAGE) from None


def _kept_key(data: Path) -> str:
    try:
        return (data / "admin-key").read_text().strip()
    except OSError:
        raise Failed(
            f"no key: give --key, set PENSTOCK_KEY, or name the server's data directory by --data"
            f" (there is no {data / 'admin-key'})",
            Exit.USAGE,
        ) from None
