"""The flights through Kafka, with two workers in the group and a third that joins and leaves."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.flights import TOTAL, first, rows, stored, unpack
from tests.support.platform import Platform, running
from tests.support.server import Server
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.redis import Redis
from tests.support.terminal import Terminal

STAYS_S = 2
PAGE = 100


@pytest.fixture
def platform(tmp_path: Path, kafka: Kafka, mongodb: MongoDB, redis: Redis) -> Iterator[Platform]:
    with running(tmp_path, kafka, mongodb, redis) as platform:
        platform.worker()
        platform.worker()
        yield platform


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("count", [20_000, pytest.param(TOTAL, marks=pytest.mark.long)])
def test_every_flight_arrives_once_while_workers_come_and_go(
    platform: Platform, tmp_path: Path, count: int
) -> None:
    source = first(count, unpack(tmp_path))
    flights = rows(source)
    type_ = Terminal(tmp_path, platform.api.url)
    words = ("records", "import", "flights", str(source), "--missing", "NA", "--create")
    joined = come_and_go(platform, type_.start(*words), Versions(platform, "flights"))

    found = list(stored(type_, "flights"))
    assert len({record_id for record_id, _ in found}) == count
    assert Counter(data for _, data in found) == Counter(flights)
    assert joined > 0


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("count", [20_000, pytest.param(TOTAL, marks=pytest.mark.long)])
def test_the_last_flight_of_each_number_stays_while_workers_come_and_go(
    platform: Platform, tmp_path: Path, count: int
) -> None:
    """Each flight replaces the one before of the same number: some hundred times, in order."""
    source = first(count, unpack(tmp_path))
    last = {str(dict(row)["flight"]): row for row in rows(source)}
    type_ = Terminal(tmp_path, platform.api.url)
    words = ("records", "import", "numbers", str(source), "--missing", "NA", "--create")
    versions = Versions(platform, "numbers")
    joined = come_and_go(platform, type_.start(*words, "--id-field", "flight"), versions)

    assert dict(stored(type_, "numbers")) == last
    assert versions.risen > 0
    assert joined > 0


class Versions:
    """The versions of the first records, looked at again and again: none may go back."""

    def __init__(self, platform: Platform, collection: str) -> None:
        self._url = f"{platform.api.url}/v1/collections/{collection}/records?page_size={PAGE}"
        self._seen: dict[str, str] = {}
        self.risen = 0

    def look(self) -> None:
        request = urllib.request.Request(
            self._url, headers={"Authorization": f"Bearer {Server.KEY}"}
        )
        # Not there yet, or no time for a page.
        records = []
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10) as page:
            records = json.loads(page.read())["records"]
        for record in records:
            before = self._seen.get(record["id"], "")
            assert record["version"] >= before, record["id"]
            self.risen += "" < before < record["version"]
            self._seen[record["id"]] = record["version"]


def come_and_go(platform: Platform, importing: subprocess.Popen[str], versions: Versions) -> int:
    """Until the import is done; how many times the third worker has joined."""
    for joined in itertools.count():
        if importing.poll() is not None:
            out, err = importing.communicate()
            assert importing.returncode == 0, out + err
            return joined
        third = platform.worker()
        until = time.monotonic() + STAYS_S
        while time.monotonic() < until:
            versions.look()
        third.stop()
    raise AssertionError
