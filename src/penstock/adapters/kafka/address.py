"""A Kafka cluster's address as one URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from penstock.config.address import taken_apart
from penstock.errors import ConfigurationError

_SCHEMES: Final = ("kafka", "kafka+ssl")
_TLS: Final = {
    "ca": "ssl.ca.location",
    "cert": "ssl.certificate.location",
    "key": "ssl.key.location",
    "key_password": "ssl.key.password",
}
_OIDC: Final = {
    "token_url": "sasl.oauthbearer.token.endpoint.url",
    "scope": "sasl.oauthbearer.scope",
}
_MECHANISM: Final = "mechanism"
_REGION: Final = "region"
_PASSWORDS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
_OAUTH: Final = "OAUTHBEARER"
_MSK: Final = "AWS_MSK_IAM"
_OURS: Final = {
    # Its own lines on standard error are not in the form of our log; `producer` tells what matters.
    "log_level": "0",
    # After a broker has died: by default it takes minutes until a client asks who leads now.
    "topic.metadata.refresh.interval.ms": "1000",
    "reconnect.backoff.max.ms": "1000",
}


def settings_of(url: str) -> dict[str, Any]:
    """The settings of librdkafka for `kafka[+ssl]://[user:password@]host:port[,…][?…]`.

    Parameters: `ca`, `cert`, `key`, `key_password` for TLS; `mechanism` for SASL; `token_url` and
    `scope` for OAUTHBEARER, whose user and password are the client's id and secret; `region` for
    AWS_MSK_IAM. Raises `ConfigurationError`; no secret ever stands in its text.
    """
    address = taken_apart(url)
    path, _, query = address.rest.partition("?")
    if address.scheme not in _SCHEMES or not all(address.hosts) or path.strip("/"):
        raise ConfigurationError("PENSTOCK_LOG_URL is kafka://host:port,… or kafka+ssl://…")
    given = dict(parse_qsl(query, keep_blank_values=True))
    settings = {"bootstrap.servers": ",".join(address.hosts)} | _taken(given, _TLS)
    is_encrypted = address.scheme.endswith("ssl")
    if len(settings) > 1 and not is_encrypted:
        raise _wrong("certificates are for kafka+ssl://")
    protocol = "ssl" if is_encrypted else "plaintext"
    sasl = _sasl(address.credentials.removesuffix("@"), given)
    if sasl:
        protocol = f"sasl_{protocol}"
    if given:
        raise _wrong(f"{', '.join(given)} is not known there")
    return settings | sasl | {"security.protocol": protocol} | _OURS


def _sasl(credentials: str, given: dict[str, str]) -> dict[str, Any]:
    """What SASL needs; nothing where neither a user nor a mechanism is named."""
    mechanism = given.pop(_MECHANISM, _PASSWORDS[0] if credentials else "")
    user, _, password = (unquote(part) for part in credentials.partition(":"))
    if not mechanism:
        return {}
    if mechanism == _MSK:
        return _msk(given.pop(_REGION, ""))
    if not user:
        raise _wrong(f"{mechanism} needs user:password@ before the hosts")
    if mechanism in _PASSWORDS:
        return {"sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": password}
    if mechanism == _OAUTH:
        return _oauth(user, password, given)
    known = ", ".join((*_PASSWORDS, _OAUTH, _MSK))
    raise _wrong(f"the mechanism is one of {known}")


def _oauth(client: str, secret: str, given: dict[str, str]) -> dict[str, Any]:
    """Tokens from an OpenID Connect provider, by client credentials."""
    oidc = _taken(given, _OIDC)
    if _OIDC["token_url"] not in oidc:
        raise _wrong(f"{_OAUTH} needs token_url=https://…")
    return {
        "sasl.mechanism": _OAUTH,
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": client,
        "sasl.oauthbearer.client.secret": secret,
        **oidc,
    }


def _msk(region: str) -> dict[str, Any]:
    """Tokens from AWS, by the credentials that its own tools would find."""
    if not region:
        raise _wrong(f"{_MSK} needs region=…")
    try:
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise _wrong(f"{_MSK} needs a driver: pip install 'penstock[msk]'") from error

    def token(_config: str) -> tuple[str, float]:
        signed, expires_ms = MSKAuthTokenProvider.generate_auth_token(region)
        return signed, expires_ms / 1000

    return {"sasl.mechanism": _OAUTH, "oauth_cb": token}


def _taken(given: dict[str, str], names: Mapping[str, str]) -> dict[str, Any]:
    """Those of the parameters, by librdkafka's names; they are not left in `given`."""
    return {names[name]: given.pop(name) for name in list(given) if name in names}


def _wrong(complaint: str) -> ConfigurationError:
    return ConfigurationError(f"PENSTOCK_LOG_URL: {complaint}")
