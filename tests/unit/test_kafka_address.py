"""Kafka's address: what becomes of each part of it."""

from __future__ import annotations

import pytest

from penstock.adapters.kafka.address import settings_of
from penstock.errors import ConfigurationError

ALWAYS = {
    "log_level": "0",
    "topic.metadata.refresh.interval.ms": "1000",
    "reconnect.backoff.max.ms": "1000",
}


def test_hosts_alone_are_plain() -> None:
    assert settings_of("kafka://a:9092,b:9092") == ALWAYS | {
        "bootstrap.servers": "a:9092,b:9092",
        "security.protocol": "plaintext",
    }


def test_any_of_the_hosts_may_be_an_ipv6_address() -> None:
    settings = settings_of("kafka://u:p@a:9092,[::1]:9093")
    assert settings["bootstrap.servers"] == "a:9092,[::1]:9093"
    assert settings["sasl.username"] == "u"


def test_credentials_and_encryption_are_taken_over() -> None:
    assert settings_of("kafka+ssl://me:p%40ss@a:9092?mechanism=PLAIN&ca=/etc/ca.pem") == ALWAYS | {
        "bootstrap.servers": "a:9092",
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "me",
        "sasl.password": "p@ss",
        "ssl.ca.location": "/etc/ca.pem",
    }


def test_a_client_may_have_a_certificate() -> None:
    url = "kafka+ssl://a:9092?ca=/ca.pem&cert=/c.pem&key=/k.pem&key_password=s%26s"
    assert settings_of(url) == ALWAYS | {
        "bootstrap.servers": "a:9092",
        "security.protocol": "ssl",
        "ssl.ca.location": "/ca.pem",
        "ssl.certificate.location": "/c.pem",
        "ssl.key.location": "/k.pem",
        "ssl.key.password": "s&s",
    }


def test_tokens_come_from_an_openid_provider() -> None:
    url = "kafka+ssl://id:s%40@a:9092?mechanism=OAUTHBEARER&token_url=https://b/t&scope=kafka"
    assert settings_of(url) == ALWAYS | {
        "bootstrap.servers": "a:9092",
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": "id",
        "sasl.oauthbearer.client.secret": "s@",
        "sasl.oauthbearer.token.endpoint.url": "https://b/t",
        "sasl.oauthbearer.scope": "kafka",
    }


@pytest.mark.parametrize(
    "url",
    [
        "kafka://",
        "http://a:1",
        "kafka://u:secret@a:1/topic",
        "kafka://u:secret@a:1?x=1",
        "kafka://u:secret@a:1?ca=/ca.pem",
        "kafka+ssl://u:secret@a:1?mechanism=GSSAPI",
        "kafka+ssl://a:1?mechanism=PLAIN",
        "kafka+ssl://u:secret@a:1?mechanism=OAUTHBEARER",
        "kafka+ssl://u:secret@a:1?token_url=https://b",
        "kafka+ssl://a:1?mechanism=AWS_MSK_IAM",
    ],
)
def test_what_is_no_address_is_refused_without_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings_of(url)
    assert "secret" not in str(caught.value)
