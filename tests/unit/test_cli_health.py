"""`penstock health` asks the process that runs here, and says how it is by its exit code."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.support.servers.certificates import Authority
from typer.testing import CliRunner

from penstock.cli.app import app

STATUSES = {"/livez": 200, "/readyz": 503}


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(STATUSES[self.path])
        self.end_headers()
        self.wfile.write(b'{"status":"unready","reason":"It is early."}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as it is called
        """Nothing: the test knows."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_process_that_answers_is_healthy(
    port: int, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_PORT", str(port))
    monkeypatch.setenv("PENSTOCK_HOST", host)
    result = CliRunner().invoke(app, ["health"])
    assert (result.exit_code, result.output) == (0, "")


def test_one_that_speaks_tls_is_asked_by_tls(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = Authority(tmp_path, "authority").issue("penstock", "api")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("PENSTOCK_TLS_CERT", str(certificate))
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        result = CliRunner().invoke(app, ["health", "--port", str(server.server_port)])
        thread.join()
    assert (result.exit_code, result.output) == (0, "")
    assert CliRunner().invoke(app, ["health", "--port", str(port)]).exit_code == 4


def test_one_that_is_not_ready_says_why(port: int) -> None:
    result = CliRunner().invoke(app, ["health", "--ready", "--port", str(port)])
    assert result.exit_code == 3
    assert "It is early." in result.output


def test_one_that_is_not_there_is_not_healthy() -> None:
    result = CliRunner().invoke(app, ["health", "--port", "1"])
    assert result.exit_code == 4
    assert "no answer from 127.0.0.1, port 1" in result.output


def test_settings_that_cannot_be_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_PORT", "http")
    result = CliRunner().invoke(app, ["health"])
    assert result.exit_code == 2
    assert "PENSTOCK_PORT" in result.output
