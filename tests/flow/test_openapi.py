"""The server does what its OpenAPI document says, for good requests and bad ones made from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.asking import Caller
from tests.support.roles import server_of
from tests.support.server import Server

ROOT = Path(__file__).parents[2]
CONFIGURATION = """
[checks.positive_data_acceptance]
# 412, 422: whether a precondition holds, and what the schema of a collection says (the fuzzer puts
# collections too), is no matter of the request's form.
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 412, 422, 429, "5xx"]
"""
COLLECTION = "out-of-the-fuzzers-reach"


def test_answers_are_as_described_for_valid_and_invalid_requests(tmp_path: Path) -> None:
    server = server_of(tmp_path / "data")
    server.start()
    try:
        found = fuzz(server, tmp_path)
        assert found.returncode == 0, found.stdout[-10_000:]
        assert "request_failed" not in server.log.read_text()
    finally:
        server.close()


def fuzz(server: Server, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run schemathesis, all phases and both modes, with what only this server can sign."""
    ask = Caller(server)
    records = f"/v1/collections/{COLLECTION}/records"
    ask.put(f"/v1/collections/{COLLECTION}", {})
    receipts = [ask.put(f"{records}/{name}?ack=applied", {}).json["receipt"] for name in "01"]
    token = ask("GET", f"{records}?page_size=1").json["next_page_token"]
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
            *("run", f"{server.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {Server.KEY}"),
            *("--mode", "all", "--max-examples", "15", "--seed", "1"),
            # The only required header is the one above, which the command line always adds; that
            # the key is needed is checked by `ignored_auth`.
            *("--exclude-checks", "missing_required_header"),
        ],
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.support.fuzzing",
            "FUZZ_COLLECTION": COLLECTION,
            "FUZZ_RECEIPT": receipts[0],
            "FUZZ_PAGE_TOKEN": token,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=280,
    )
