"""Configuration -> the generations of a log in Kafka, and one more of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from penstock.config.settings import Configuration
from penstock.errors import ConfigurationError
from penstock.wiring.driver import driver
from penstock.wiring.engines import revealed

if TYPE_CHECKING:  # without its driver, a log in Kafka is not loaded
    from penstock.adapters.kafka.growing import Growing


class Generation(NamedTuple):
    """A generation of the log; `state` is open, sealed or not begun."""

    number: int
    topic: str
    partitions: int
    state: str


def generations(configuration: Configuration) -> list[Generation]:
    """Those there are. Raises `ConfigurationError`, `Unavailable`."""
    return [
        Generation(one.number, one.topic.name, one.topic.partitions, one.state)
        for one in _growing(configuration, lambda _: None).generations()
    ]


def create(configuration: Configuration) -> list[Generation]:
    """Those there are, of which the first is created where there is none.

    Raises `ConfigurationError`, `Unavailable`.
    """
    growing = _growing(configuration, lambda _: None)
    growing.create(configuration.log_partitions, configuration.log_retention_ms)
    return generations(configuration)


def grow(configuration: Configuration, partitions: int, tell: Callable[[str], None]) -> None:
    """Begin a generation of so many partitions, under load if need be.

    Args:
        configuration: names the log.
        partitions: more than there are.
        tell: is told each step.

    Raises `ConfigurationError`, `Unavailable`; the same call then goes on from there.
    """
    _growing(configuration, tell).grow(partitions)


def _growing(configuration: Configuration, tell: Callable[[str], None]) -> Growing:
    url = revealed(configuration.log_url)
    if url is None:
        raise ConfigurationError("Only a log in Kafka has generations: set PENSTOCK_LOG_URL.")
    with driver("PENSTOCK_LOG_URL", "kafka"):
        from penstock.adapters.kafka.address import settings_of
        from penstock.adapters.kafka.growing import Growing
    return Growing(settings_of(url), configuration.log_name, tell)
