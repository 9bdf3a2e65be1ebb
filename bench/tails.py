"""Where the slowest single writes spend their time: `python -m bench.tails [--rate 4000]`.

`penstock api` as in `bench.side_by_side`, asked at a constant rate in an open loop. Beside what the
client sees stand the process's own histograms of the same seconds, and what librdkafka alone takes
to hand the same messages to the same broker, at the same rate. Prints a table, in milliseconds.
"""

from __future__ import annotations

import argparse
import re
import time
import urllib.request
from collections.abc import Mapping
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from bench.ground import PARTITIONS, Ground, create_topic, prepared
from bench.load import share
from bench.records import body
from bench.workloads import Numbers, Workloads

_WARM_S: Final = 3.0
_PARTS: Final = {
    "from the whole request to its answer": r'request_seconds\w*{[^}]*route="put_record"',
    "of that, the log's append": r'engine_seconds\w*{[^}]*engine="log"[^}]*operation="append"',
    "how late the event loop wakes": r'loop_lag_seconds\w*{[^}]*loop="requests"',
}
_BUCKET: Final = re.compile(r'_bucket{(?:.*,)?le="([^"]+)"[^}]*} (\S+)')
_LINGER_MS: Final = 5

Counts = Mapping[float, float]
"""How many values were up to each bound, in seconds."""


class Row(NamedTuple):
    p50_ms: float
    p99_ms: float


def counts(ground: Ground) -> Mapping[str, Counts]:
    child = ground.penstock.child
    text = urllib.request.urlopen(f"http://{child.host}:{child.port}/metrics").read().decode()
    found: dict[str, dict[float, float]] = {name: {} for name in _PARTS}
    for line in text.splitlines():
        for name, pattern in _PARTS.items():
            bucket = _BUCKET.search(line) if re.search(pattern, line) else None
            if bucket:
                found[name][float(bucket[1])] = float(bucket[2])
    return found


def quantile(before: Counts, after: Counts, part: float) -> float:
    """In ms, between the bounds as if values lay evenly there."""
    wanted = part * (after[float("inf")] - before[float("inf")])
    low = below = 0.0
    for bound in sorted(after):
        here = after[bound] - before[bound]
        if here >= wanted:
            return 1000 * (low + (bound - low) * (wanted - below) / (here - below))
        low, below = bound, here
    raise AssertionError("the last bound is above all")


def alone(ground: Ground, rate: float, seconds: float) -> Row:
    """librdkafka in this process, told to send at moments that are evenly apart."""
    topic = f"{ground.topic}-tails"
    create_topic(ground.kafka, topic)
    producer = Producer(
        {
            "bootstrap.servers": ground.kafka.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": _LINGER_MS,
            "compression.type": "lz4",
        }
    )
    taken: list[float] = []

    def send(number: int, due: float) -> None:
        def told(error: KafkaError | None, message: Message) -> None:
            del message
            assert error is None, error
            taken.append(1000 * (time.perf_counter() - due))

        producer.produce(topic, body(number), partition=number % PARTITIONS, on_delivery=told)

    began, number = time.perf_counter(), 0
    while (now := time.perf_counter() - began) < seconds + _WARM_S:
        while number < now * rate:
            send(number, began + number / rate)
            number += 1
        producer.poll(0.0005)
    producer.flush()
    settled = sorted(taken[int(_WARM_S * rate) :])
    return Row(share(settled, 0.5), share(settled, 0.99))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=4_000, help="writes a second")
    # Connections that were not needed are closed after 10 s.
    parser.add_argument("--seconds", type=float, default=8)
    chosen = parser.parse_args()
    works, numbers = Workloads(), Numbers()
    with prepared() as ground:
        side = ground.penstock
        side.create("puts", {})
        for child in (ground.worker, ground.consumer):
            child.pause()
        works.puts(side, "puts", numbers.of("", "puts"), _WARM_S)
        before = counts(ground)
        seen = works.puts_at(side, "puts", numbers.of("", "puts"), chosen.rate, chosen.seconds)
        after = counts(ground)
        rows = {"due to answered, as the client sees it": Row(seen.p50_ms, seen.p99_ms)}
        for name in _PARTS:
            here = (quantile(before[name], after[name], part) for part in (0.5, 0.99))
            rows[name] = Row(*here)
        rows["librdkafka alone, at the same rate"] = alone(ground, chosen.rate, chosen.seconds)
    print(f"| {chosen.rate:,.0f} writes a second, ms | p50 | p99 |\n|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row.p50_ms:.1f} | {row.p99_ms:.1f} |")


if __name__ == "__main__":
    main()
