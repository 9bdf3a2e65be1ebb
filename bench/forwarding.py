"""What a hop costs: a process that passes requests on, by each of several clients.

`python -m bench.forwarding [--rounds N]`; aiohttp has to be installed for this, httpx is. A server
that answers a constant stands behind a process of our own HTTP server, whose one handler asks it
through the client that is measured, with the headers of a read; 64 requests are in flight. The
rounds go through all clients in turn. What is told is the requests per second of the process's own
processor time (the machine's cores are shared with the load, the upstream, and with others), and
the latencies.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import uvloop

from bench.constant import Constant, Message
from bench.load import Outcome, request, run
from penstock.adapters.embedded.clock import SystemClock
from penstock.api.app import Application
from penstock.api.forward.address import Address
from penstock.api.forward.link import Link, Reply
from penstock.api.forward.upstream import Upstream
from penstock.api.server import Server
from penstock.config import Configuration

IN_FLIGHT = 64
EACH = 100
PATH = "/v1/collections/readings/records/read-000001"
HEADERS = {
    "penstock-principal": "A" * 240,
    "penstock-timeout": "500",
    "x-request-id": "0123456789-abc",
}

Ask = Callable[[], Awaitable[tuple[int, bytes]]]


class Waiting:
    """A call that nobody hedges."""

    def __init__(self) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def answered(self, link: Link, reply: Reply) -> None:
        self.reply.set_result(reply)

    def failed(self, link: Link) -> None:
        self.reply.set_exception(ConnectionError())


def our_own(host: str, port: int) -> Ask:
    upstream = Upstream(Address(host, port, host, None), SystemClock(), lambda: None)
    lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())

    async def ask() -> tuple[int, bytes]:
        call = Waiting()
        message = f"GET {PATH} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n".encode()
        await upstream.ask(call, message)
        reply = await call.reply
        return reply.status, reply.body

    return ask


def with_aiohttp(host: str, port: int) -> Ask:
    import aiohttp  # noqa: PLC0415  # only where it is measured
    from yarl import URL  # noqa: PLC0415  # likewise

    session: list[aiohttp.ClientSession] = []
    url = URL(f"http://{host}:{port}{PATH}", encoded=True)

    async def ask() -> tuple[int, bytes]:
        if not session:
            session.append(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0),
                    auto_decompress=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                )
            )
        async with session[0].get(url, headers=HEADERS) as answer:
            return answer.status, await answer.read()

    return ask


def with_httpx(host: str, port: int) -> Ask:
    import httpx  # noqa: PLC0415  # only where it is measured

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    client = httpx.AsyncClient(limits=limits, timeout=None)
    url = f"http://{host}:{port}{PATH}"

    async def ask() -> tuple[int, bytes]:
        answer = await client.get(url, headers=HEADERS)
        return answer.status_code, answer.content

    return ask


def without(_host: str, _port: int) -> Ask:
    """No hop at all: what the process costs by itself."""

    async def ask() -> tuple[int, bytes]:
        return 200, b"{}"

    return ask


CLIENTS = {"none": without, "ours": our_own, "aiohttp": with_aiohttp, "httpx": with_httpx}


class PassingOn(Constant):
    """In the application's place."""

    def __init__(self, ask: Ask, configuration: Configuration) -> None:
        super().__init__(configuration)
        self._ask = ask

    async def __call__(self, scope: Message, receive: Any, send: Callable[..., Any]) -> None:
        del scope, receive  # all requests are the same one
        status, body = await self._ask()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def passing_on(client: str, upstream: str) -> None:
    """The process that is measured."""
    address = urlsplit(upstream)
    ask = CLIENTS[client](str(address.hostname), int(str(address.port)))
    configuration = Configuration.read(port=0)
    server = Server(cast("Application", PassingOn(ask, configuration)), configuration)
    await server.run(lambda url: print(f"{url} ", flush=True))


class Figures(NamedTuple):
    """Of one round: requests a second of its processor time, and of all time; ms."""

    per_core: float
    rate: float
    p50: float
    p99: float


def measure(client: str, upstream: str) -> Figures:
    command = [sys.executable, "-m", "bench.forwarding", "--serve", client, "--upstream", upstream]
    with started(command) as (process, url):
        load(url, 20)
        before = processor_s(process.pid)
        outcome = load(url, EACH)
        used = processor_s(process.pid) - before
    p50, p99 = outcome.percentile(0.5), outcome.percentile(0.99)
    return Figures(outcome.requests / used, outcome.rate, p50, p99)


def load(url: str, each: int) -> Outcome:
    address = urlsplit(url)
    message = request("GET", PATH, "key")

    def some() -> Callable[[], bytes | None]:
        left = iter(range(each))
        return lambda: message if next(left, None) is not None else None

    return asyncio.run(
        run(
            str(address.hostname),
            int(str(address.port)),
            [some() for _ in range(IN_FLIGHT)],
            b"200",
        )
    )


@contextlib.contextmanager
def started(command: list[str]) -> Any:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def processor_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123  # one line of /proc
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", nargs="+", default=list(CLIENTS))
    parser.add_argument("--serve")
    parser.add_argument("--upstream", default="")
    chosen = parser.parse_args()
    uvloop.install()
    if chosen.serve:
        asyncio.run(passing_on(chosen.serve, chosen.upstream))
        return
    found: dict[str, list[Figures]] = {name: [] for name in chosen.clients}
    with started([sys.executable, "-m", "bench.constant"]) as (_, upstream):
        for _ in range(chosen.rounds):
            for name in chosen.clients:
                found[name].append(measure(name, upstream))
                print(name, found[name][-1], file=sys.stderr)
    print("| client | requests/s per core | requests/s | p50 ms | p99 ms |\n|---|---|---|---|---|")
    for name, rounds in found.items():
        middle = [statistics.median(column) for column in zip(*rounds, strict=True)]
        print(
            f"| {name} | {middle[0]:,.0f} | {middle[1]:,.0f} | {middle[2]:.1f} | {middle[3]:.1f} |"
        )


if __name__ == "__main__":
    main()
