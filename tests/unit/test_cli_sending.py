"""A batch on its way to a server that answers late, badly, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from penstock.cli.client import Client
from penstock.cli.exits import Exit, Failed
from penstock.cli.importing.batch import Batch, batches
from penstock.cli.importing.line import Line
from penstock.cli.importing.send import Sender

Answer = Callable[[BaseHTTPRequestHandler], None]
LINES = [Line(n, b"{}", b'{"data":{}}') for n in (4, 7)]
RESULT = b'{"index":%d,"id":"x","status":"durable"}\n'


class Peer:
    """A server that gives the answers it was told, in turn, and remembers what it was asked."""

    def __init__(self, answers: list[Answer]) -> None:
        self.asked: list[tuple[str, bytes]] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                peer.asked.append((self.headers["Idempotency-Key"], body))
                answers.pop(0)(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def serving() -> Iterator[Callable[..., Peer]]:
    peers: list[Peer] = []

    def serve(*answers: Answer) -> Peer:
        peers.append(Peer(list(answers)))
        return peers[-1]

    yield serve
    for peer in peers:
        peer.close()


def answer(status: int, body: bytes, **headers: str) -> Answer:
    def give(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return give


def done(accepted: int, refused: int) -> bytes:
    return b'{"done":true,"accepted":%d,"refused":%d,"receipt":"r"}\n' % (accepted, refused)


def problem(status: int, code: str, *, retryable: bool) -> bytes:
    return json.dumps(
        {
            "type": f"urn:penstock:problem:{code}",
            "title": code,
            "status": status,
            "detail": "Why.",
            "code": code,
            "retryable": retryable,
        }
    ).encode()


def cut(handler: BaseHTTPRequestHandler) -> None:
    """The connection ends in the middle of the answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(RESULT % 0)
    handler.close_connection = True


GOOD = answer(200, RESULT % 0 + RESULT % 1 + done(2, 0))


class Pauses:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def monotonic(self) -> float:
        return 1000 + sum(self.slept)


def sender(peer: Peer, pauses: Pauses, retry_for_s: float = 60.0) -> Sender:
    client = Client(peer.url, "key")
    return Sender(client, "c", retry_for_s, pauses.sleep, pauses.monotonic)


def test_a_refused_line_is_found_by_its_index_with_what_is_said_of_it(
    serving: Callable[..., Peer],
) -> None:
    refusal = b'{"index":1,"problem":%b}\n' % problem(400, "invalid_record", retryable=False)
    peer = serving(answer(200, RESULT % 0 + refusal + done(1, 1)))
    sent = sender(peer, Pauses()).send(LINES, "k")
    assert (sent.accepted, sent.receipt) == (1, "r")
    assert [(one.line.number, one.problem.code) for one in sent.refused] == [(7, "invalid_record")]


@pytest.mark.parametrize(
    "first",
    [
        answer(503, problem(503, "log_unavailable", retryable=True)),
        answer(502, b"<html>bad gateway</html>"),
        answer(409, problem(409, "idempotency_in_flight", retryable=True)),
        cut,
        answer(200, RESULT % 0),
        answer(
            200,
            RESULT % 0
            + b'{"done":false,"accepted":1,"refused":0,"problem":%b}\n'
            % problem(503, "shutting_down", retryable=True),
        ),
    ],
    ids=["unavailable", "gateway", "in-flight", "cut", "no-last-line", "broken-off"],
)
def test_what_may_pass_is_sent_again_whole_under_the_same_key(
    serving: Callable[..., Peer], first: Answer
) -> None:
    peer = serving(first, GOOD)
    assert sender(peer, Pauses()).send(LINES, "run-3").accepted == 2
    assert peer.asked == [("run-3", b'{"data":{}}\n{"data":{}}')] * 2


def test_what_cannot_pass_ends_at_once(serving: Callable[..., Peer]) -> None:
    peer = serving(answer(404, problem(404, "collection_not_found", retryable=False)))
    with pytest.raises(Failed, match="collection_not_found: Why") as caught:
        sender(peer, Pauses()).send(LINES, "k")
    assert caught.value.code is Exit.REFUSED
    assert len(peer.asked) == 1


def test_the_pauses_double_and_end_when_the_time_is_up(serving: Callable[..., Peer]) -> None:
    refusal = answer(503, problem(503, "backlog_full", retryable=True))
    peer = serving(*[refusal] * 50)
    pauses = Pauses()
    with pytest.raises(Failed, match="backlog_full") as caught:
        sender(peer, pauses, retry_for_s=30.0).send(LINES, "k")
    assert caught.value.code is Exit.UNREACHABLE
    assert 15 < sum(pauses.slept) <= 30
    for n, pause in enumerate(pauses.slept):
        most = min(0.2 * 2**n, 10.0)
        assert most / 2 <= pause <= most


def test_a_pause_is_as_long_as_the_server_asks(serving: Callable[..., Peer]) -> None:
    refusal = answer(503, problem(503, "backlog_full", retryable=True), Retry_After="5")
    pauses = Pauses()
    sender(serving(refusal, GOOD), pauses).send(LINES, "k")
    assert pauses.slept == [5.0]


def test_nobody_there_is_tried_again_and_told(serving: Callable[..., Peer]) -> None:
    peer = serving()
    peer.close()
    pauses = Pauses()
    with pytest.raises(Failed, match="no answer from") as caught:
        sender(peer, pauses, retry_for_s=5.0).send(LINES, "k")
    assert caught.value.code is Exit.UNREACHABLE
    assert len(pauses.slept) > 2


class Still:
    at = 0


def cut_up(sizes: list[int], most_lines: int) -> list[list[int]]:
    lines = [Line(n, b"", b"x" * size) for n, size in enumerate(sizes)]
    made: list[Batch] = list(batches(lines, Still(), most_lines))
    assert [batch.number for batch in made] == list(range(len(made)))
    return [[line.number for line in batch.lines] for batch in made]


def test_a_batch_ends_at_so_many_lines_or_four_mebibytes() -> None:
    assert cut_up([1] * 5, 2) == [[0, 1], [2, 3], [4]]
    mebibyte = 1024 * 1024
    assert cut_up([mebibyte] * 5, 100) == [[0, 1, 2, 3], [4]]
    assert cut_up([5 * mebibyte, 1, 5 * mebibyte], 100) == [[0], [1], [2]]
    assert cut_up([], 10) == []
