"""Where the slowest single writes spend their time: `python -m bench.tails [--rate 4000]`.

`penstock api` as in `bench.side_by_side`, asked at a constant rate in an open loop. Beside what the
client sees stand the process's own histograms of the same seconds, and what librdkafka alone takes
to hand the same bodies to the same broker, at the same rate, evenly apart. An append is one call,
of as many writes as were begun together: a slow call counts once. In milliseconds, as a table.
"""

from __future__ import annotations

import argparse
import time
from math import inf
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, Message
from tests.support.scraping import Scraped

from bench.ceilings import producer_of
from bench.ground import PARTITIONS, Ground, create_topic, prepared
from bench.load import share
from bench.records import body
from bench.workloads import Numbers, Workloads
from penstock.telemetry.series import SECONDS

_WARM_S: Final = 3.0
_PARTS: Final = {
    "from the whole request to its answer": ("request", {"route": "put_record"}),
    "of that, the log's append": ("engine", {"engine": "log", "operation": "append"}),
    "how late the event loop wakes": ("loop_lag", {"loop": "requests"}),
}
"""Histograms of the process, each by the middle of its name and its labels."""


class Row(NamedTuple):
    p50_ms: float
    p99_ms: float


def quantile(before: Scraped, after: Scraped, part: str, share_of_all: float) -> float:
    """In ms, between two bounds as if values lay evenly there."""
    name, labels = _PARTS[part]

    def up_to(bound: float) -> float:
        own = {**labels, "le": "+Inf" if bound == inf else str(float(bound))}
        both = (one.sum(f"penstock_{name}_seconds_bucket", **own) for one in (after, before))
        return next(both) - next(both)

    wanted = share_of_all * up_to(inf)
    low = below = 0.0
    for bound in SECONDS:
        here = up_to(bound)
        if here >= wanted > below:
            return 1000 * (low + (bound - low) * (wanted - below) / (here - below))
        low, below = bound, here
    raise RuntimeError(f"{part}: nothing was counted, or all of it took longer than {low} s")


def alone(ground: Ground, rate: float, seconds: float) -> Row:
    """librdkafka in this process, told to send at moments that are evenly apart."""
    topic = f"{ground.topic}-tails"
    create_topic(ground.kafka, topic)
    producer = producer_of(ground)
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
        url = f"http://{side.child.host}:{side.child.port}"
        before = Scraped.of(url)
        seen = works.puts_at(side, "puts", numbers.of("", "puts"), chosen.rate, chosen.seconds)
        after = Scraped.of(url)
        rows = {"due to answered, as the client sees it": Row(seen.p50_ms, seen.p99_ms)}
        for name in _PARTS:
            here = (quantile(before, after, name, part) for part in (0.5, 0.99))
            rows[name] = Row(*here)
        rows["librdkafka alone, at the same rate"] = alone(ground, chosen.rate, chosen.seconds)
    print(f"| {chosen.rate:,.0f} writes a second, ms | p50 | p99 |\n|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row.p50_ms:.1f} | {row.p99_ms:.1f} |")


if __name__ == "__main__":
    main()
