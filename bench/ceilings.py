"""What the servers and their drivers can do by themselves, one core for the driver."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import uuid4

import redis
from confluent_kafka import Producer

from bench.children import on_cores
from bench.ground import SERVICE, Ground
from bench.records import READ, body, record, record_id
from bench.sides import Mongo

_BATCH: Final = 100
_INSERTED_AT_ONCE: Final = 500


def all_ceilings(ground: Ground, seconds: float) -> dict[str, float]:
    """Per second: messages of librdkafka's producer, documents inserted, keys, documents read."""
    with on_cores(SERVICE):
        return {
            "librdkafka's producer, messages": produced(ground, seconds),
            "insert_many of ready documents": inserted(ground.mongo, seconds),
            "MGET in batches of 100, keys": keys_read(ground.redis.ports[0], seconds),
            "$in in batches of 100, documents": documents_read(ground.mongo, seconds),
        }


def producer_of(ground: Ground) -> Producer:
    """Acknowledged by all replicas, idempotent, as the settings of our own producer are."""
    return Producer(
        {
            "bootstrap.servers": ground.kafka.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 200_000,
        }
    )


def produced(ground: Ground, seconds: float) -> float:
    producer = producer_of(ground)
    value = body(1)
    began, count = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        for _ in range(1_000):
            count += 1
            producer.produce(f"{ground.topic}-ceiling", value, b"%d" % count)
        while len(producer) > 100_000:
            producer.poll(0.01)
        producer.poll(0)
    assert producer.flush(60) == 0
    return count / (time.perf_counter() - began)


def inserted(mongo: Mongo, seconds: float) -> float:
    collection = mongo["ceilings"][uuid4().hex]
    numbers = iter(range(10**9))

    def documents() -> list[dict[str, Any]]:
        some = [next(numbers) for _ in range(_INSERTED_AT_ONCE)]
        return [{"_id": record_id(one), "data": record(one)} for one in some]

    ready = [documents() for _ in range(40)]
    rate = _repeated(
        iter_once(ready, lambda one: collection.insert_many(one, ordered=False)), seconds
    )
    collection.drop()
    return rate * _INSERTED_AT_ONCE


def keys_read(port: int, seconds: float) -> float:
    with redis.Redis(port=port) as client:
        keys = [f"ceiling-{number}" for number in range(READ)]
        client.mset({key: body(1) for key in keys})
        rate = _repeated(lambda: client.mget(random.sample(keys, _BATCH)), seconds)
        client.delete(*keys)
    return rate * _BATCH


def documents_read(mongo: Mongo, seconds: float) -> float:
    collection = mongo["ceilings"][uuid4().hex]
    collection.insert_many([{"_id": record_id(one), "data": record(one)} for one in range(READ)])

    def ask() -> None:
        ids = [record_id(one) for one in random.sample(range(READ), _BATCH)]
        assert len(list(collection.find({"_id": {"$in": ids}}))) == _BATCH

    rate = _repeated(ask, seconds)
    collection.drop()
    return rate * _BATCH


class _Exhausted(Exception):
    """There is nothing left to do."""


def iter_once(ready: list[Any], do: Callable[[Any], object]) -> Callable[[], None]:
    """Each once, then `_Exhausted`."""
    left: Iterator[Any] = iter(ready)

    def one() -> None:
        following = next(left, None)
        if following is None:
            raise _Exhausted
        do(following)

    return one


def _repeated(do: Callable[[], object], seconds: float) -> float:
    began, count = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        try:
            do()
        except _Exhausted:
            break
        count += 1
    return count / (time.perf_counter() - began)
