"""A Kafka cluster's address as one URL."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from penstock.errors import ConfigurationError

_SCHEMES: Final = ("kafka", "kafka+ssl")
_PARAMETERS: Final = {"mechanism": "sasl.mechanism", "ca": "ssl.ca.location"}
_DEFAULT_MECHANISM: Final = "SCRAM-SHA-512"
_OURS: Final = {
    # Its own lines on standard error are not in the form of our log; `producer` tells what matters.
    "log_level": "0",
    # After a broker has died: by default it takes minutes until a client asks who leads now.
    "topic.metadata.refresh.interval.ms": "1000",
    "reconnect.backoff.max.ms": "1000",
}


def settings_of(url: str) -> dict[str, str]:
    """The settings of librdkafka for `kafka[+ssl]://[user:password@]host:port[,…][?mechanism=…&ca=…]`.

    Raises `ConfigurationError`; the password never stands in its text.
    """
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    if parts.scheme not in _SCHEMES or not hosts or parts.path.strip("/"):
        raise ConfigurationError("PENSTOCK_LOG_URL is kafka://host:port,… or kafka+ssl://…")
    settings = {"bootstrap.servers": hosts}
    encrypted = parts.scheme.endswith("ssl")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _PARAMETERS:
            raise ConfigurationError(f"PENSTOCK_LOG_URL: {name} is not known there")
        settings[_PARAMETERS[name]] = value
    protocol = "ssl" if encrypted else "plaintext"
    if credentials:
        user, _, password = credentials.partition(":")
        settings.setdefault("sasl.mechanism", _DEFAULT_MECHANISM)
        settings |= {"sasl.username": unquote(user), "sasl.password": unquote(password)}
        protocol = f"sasl_{protocol}"
    return settings | {"security.protocol": protocol} | _OURS
