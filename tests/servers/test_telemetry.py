"""Metrics, probes, lag and traces of an API and a worker in processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.collector import collecting
from tests.support.platform import Platform, running
from tests.support.scraping import Scraped
from tests.support.server import Server
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.node import Node
from tests.support.servers.redis import Redis

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
PARTITIONS = 3


def test_an_api_and_a_worker_tell_what_they_do(
    tmp_path: Path, kafka: Kafka, mongodb: MongoDB, redis: Redis
) -> None:
    with collecting() as collector:
        settings = {
            "PENSTOCK_LOG_PARTITIONS": str(PARTITIONS),
            "PENSTOCK_METRICS_PORT": "0",
            "PENSTOCK_TRACES": "on",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_TRACES_SAMPLER": "parentbased_always_off",
        }
        with running(tmp_path, kafka, mongodb, redis, **settings) as platform:
            put(platform, "")
            for number in range(9):
                put(platform, f"/records/{number}")
            put(platform, "/records/traced", traceparent=f"00-{TRACE}-{PARENT}-01")

            code, waiting = lag(platform)
            assert code == 1, "10 are more than 9"
            assert len(waiting) == PARTITIONS
            assert sum(one["entries"] for one in waiting) == 10
            assert all((one["seconds"] > 0) == (one["entries"] > 0) for one in waiting)

            worker = platform.worker()
            url = address(worker)
            worker.until(lambda: Scraped.of(url).sum("penstock_entries_total") >= 10, "ten entries")
            check_worker(worker, url)
            code, left = lag(platform)
            assert (code, {one["entries"] for one in left}) == (0, {0})

            request = collector.wait("PUT /v1/collections/{collection}/records/{id}")
            append, apply = collector.wait("append"), collector.wait("apply")
        assert {one.trace for one in collector.spans} == {TRACE}
        assert len(collector.spans) == 3, "the others were not sampled"
        assert (request.service, append.service) == ("penstock-api", "penstock-api")
        assert apply.service == "penstock-worker"
        assert (request.parent, append.parent, apply.links) == (
            PARENT,
            request.span,
            (append.span,),
        )


def check_worker(worker: Node, url: str) -> None:
    """Its probes, and what it counted."""
    for path, expected in (("/livez", "ok"), ("/readyz", "ok")):
        with urllib.request.urlopen(url + path, timeout=10) as answer:
            assert json.load(answer)["status"] == expected
    found = Scraped.of(url)
    assert found.value("penstock_entries_total", outcome="applied") == 10
    assert found.value("penstock_slice_entries_sum") == 10
    assert (
        found.sum(
            "penstock_engine_seconds_count", engine="store", caller="worker", operation="batch"
        )
        >= 1
    )
    assert found.sum("penstock_cache_calls_total", caller="worker", result="answered") >= 1
    assert found.value("penstock_cache_left_alone", caller="worker") == 0
    assert found.sum("penstock_build_info", role="worker") == 1
    # It looks every two seconds.
    worker.until(lambda: len(lags(url)) == PARTITIONS and set(lags(url)) == {0.0}, "no lag")


def lags(url: str) -> list[float]:
    found = Scraped.of(url)
    of_each = (
        found.get("penstock_lag_entries", generation="1", partition=str(number))
        for number in range(PARTITIONS)
    )
    return [one for one in of_each if one is not None]


def put(platform: Platform, path: str, **headers: str) -> None:
    request = urllib.request.Request(
        f"{platform.api.url}/v1/collections/c{path}",
        b"{}",
        method="PUT",
        headers={
            "Authorization": f"Bearer {Server.KEY}",
            "Content-Type": "application/json",
            **headers,
        },
    )
    urllib.request.urlopen(request, timeout=10).close()


def address(worker: Node) -> str:
    found: list[str] = []

    def is_told() -> bool:
        found.extend(re.findall(r"answers on (\S+)", worker.log.read_text()))
        return bool(found)

    worker.until(is_told, "an address")
    return found[0]


def lag(platform: Platform) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of the command, which 9 entries are enough for, and what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "penstock.cli", "lag", "--json", "--most-entries", "9"],
        env=os.environ | platform.settings,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]
