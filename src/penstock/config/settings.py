"""The configuration: read from the environment (`PENSTOCK_…`), once, at the start.

`docs/configuration.md` is generated from this model; a setting without a description fails a test.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from penstock.errors import ConfigurationError

KIB = 1024
MIB = 1024 * KIB

Milliseconds = Annotated[int, Field(gt=0)]
Bytes = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
PerSecond = Annotated[float, Field(ge=0.001, le=1e12)]
Network = IPv4Network | IPv6Network


def _listed(given: object) -> object:
    """What commas part in an environment variable."""
    if isinstance(given, str):
        return tuple(one.strip() for one in given.split(",") if one.strip())
    return given


def _network(text: str) -> Network:
    """An address, or a network without host bits. Raises `ValueError`."""
    return ip_network(text)


def _origin(text: str) -> str:
    """An origin as browsers send it. Raises `ValueError`."""
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s*@\"]+", text):
        raise ValueError(f"{text!r} is no origin such as https://console.example.com")
    return text


Networks = Annotated[
    tuple[Annotated[Network, BeforeValidator(_network)], ...], NoDecode, BeforeValidator(_listed)
]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_listed)
]


class Configuration(BaseSettings):
    """One field a knob; the environment variable is `PENSTOCK_` and the name in capitals."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    data: Path = Field(Path("data"), description="Directory of the embedded log, store and keys.")
    tls_cert: Path | None = Field(
        None,
        description="Certificate, and the chain behind it, as PEM: HTTPS then, and nothing else. "
        "Read again when the files change, and on SIGHUP.",
    )
    tls_key: Path | None = Field(
        None,
        description="Its private key, as PEM without a passphrase. Without this setting, it is in "
        "the file of the certificate.",
    )
    max_connections: Count = Field(
        4096,
        description="Most connections open at once; fewer where the process may not open as many "
        "files. Further ones are answered by 503 `overloaded`, or closed where there is TLS.",
    )
    cors_origins: Origins = Field(
        (),
        description="Origins, comma-separated, whose pages may read answers in a browser (CORS).",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Addresses or networks, comma-separated, of proxies whose `X-Forwarded-For` or "
        "`Forwarded` says in the log whom a request comes from. Nothing is decided by them.",
    )
    log_url: SecretStr | None = Field(
        None,
        description="Kafka as the log: `kafka://host:port,…`, or `kafka+ssl://`, with "
        "`user:password@` before the hosts and parameters behind them, see "
        "[engines](engines.md#kafka). Without it, a file of the data directory.",
    )
    log_name: str = Field(
        "penstock",
        pattern="^[A-Za-z0-9._-]{1,200}$",
        description="Name of the log in Kafka: its topics are `<name>.g1` and so on.",
    )
    log_partitions: Count = Field(
        12, description="Partitions of the first topic, if it is created."
    )
    log_group_protocol: str = Field(
        "classic",
        pattern="^(classic|consumer)$",
        description="How the workers share the partitions out: by Kafka's `classic` protocol, or "
        "by the `consumer` protocol of KIP-848, which brokers have from 4.0 on.",
    )
    store_url: SecretStr | None = Field(
        None,
        description="MongoDB as the store: `mongodb://…` or `mongodb+srv://…`, with whatever that "
        "address says of TLS and credentials. Without it, files of the data directory.",
    )
    store_name: str = Field(
        "penstock",
        pattern="^[A-Za-z0-9_-]{1,38}$",
        description="Name of the database in MongoDB.",
    )

    cache_url: SecretStr | None = Field(
        None,
        description="Redis as the cache: `redis://…`, `rediss://…`, or `redis+cluster://…`, "
        "`rediss+cluster://host:port,…` for a cluster. Without it, this process's memory.",
    )
    cache_timeout_ms: Milliseconds = Field(
        50, description="Longest wait for Redis in one go; what is not there by then is a miss."
    )

    ingest_urls: str | None = Field(
        None,
        description="Ingest services that `penstock api` passes writes on to: "
        "`http://host:port,…`, or `https://`. A name with several addresses is several services, "
        "and looked up every few seconds. Without it, `penstock api` takes writes itself.",
    )
    query_urls: str | None = Field(
        None,
        description="Query services that `penstock api` passes reads on to, likewise. Without it, "
        "`penstock api` reads by itself.",
    )

    admin_key: SecretStr | None = Field(
        None,
        description="The installation's admin key, at least 16 characters. Without it, one is "
        "made at the first start, printed once and kept in the data directory.",
    )
    secret: SecretStr | None = Field(
        None,
        description="What receipts, page tokens and vouchers are signed with, 16 to 64 characters, "
        "the same in all processes. Without it, one is made and kept in the data directory.",
    )
    oidc_issuer: str | None = Field(
        None,
        description="Issuer of tokens (JWT) that are taken beside keys: its identifier, an "
        "`https://` URL, exactly as `iss` has it. Without it, no token is taken.",
    )
    oidc_audience: str | None = Field(
        None, description="What `aud` of a token must name; needed with an issuer."
    )
    oidc_jwks: str | None = Field(
        None,
        description="Where the issuer's keys (a JSON Web Key Set) are: an `https://` URL, or a "
        "file. Without it, where the issuer's OpenID metadata say.",
    )
    oidc_tenant_claim: str = Field("tenant", description="The claim that names the tenant.")
    oidc_scopes_claim: str = Field(
        "scope",
        description="The claim that holds the scopes, see [the HTTP API](http-api.md#tokens).",
    )
    oidc_leeway_ms: int = Field(
        30_000, ge=0, le=300_000, description="By how much an issuer's clock may differ from ours."
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="The least level logged."
    )
    access_log: bool = Field(
        False, description="Whether every request is logged, with its route, status and time."
    )
    slow_request_ms: Milliseconds = Field(
        400,
        description="Time above which a request is logged (`slow_request`), streams apart; ten a "
        "second at most.",
    )
    traces: bool = Field(
        False,
        description="Whether traces are made and sent by OTLP over HTTP, as the standard `OTEL_*` "
        "variables say; see [metrics, logs and traces](telemetry.md#traces).",
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port on which a worker alone answers `/livez`, `/readyz` and `/metrics`; 0 "
        "for any free one. Without it, none. Whatever has an API answers them on its own port.",
    )

    deadline_ms: Milliseconds = Field(
        500, description="Time within which a read or write is answered, or refused."
    )
    max_deadline_ms: Milliseconds = Field(
        10_000,
        description="Most that `Penstock-Timeout` may ask for, for lists, aggregates and exports.",
    )
    drain_grace_ms: int = Field(
        0,
        ge=0,
        description="Time between a stop and its taking effect: the process says that it is not "
        "ready and closes connections behind their answers, but goes on serving, until load "
        "balancers have noticed. 0 where nobody looks; a few seconds in Kubernetes.",
    )
    drain_ms: Milliseconds = Field(
        10_000, description="Time that requests under way are given at a stop, after that."
    )
    idle_ms: Milliseconds = Field(
        10_000, description="Longest silence of a client in the midst of a request or a stream."
    )

    ingest_bytes: Bytes = Field(
        64 * MIB,
        description="Bytes of bodies in hand, of all requests together: above it, bulks are read "
        "no further for the moment, and other bodies are refused (`overloaded`).",
    )
    max_body_bytes: Bytes = Field(MIB, description="Largest body, after decompression.")
    max_bulk_bytes: Bytes = Field(256 * MIB, description="Largest bulk body, after decompression.")
    max_line_bytes: Bytes = Field(MIB, description="Longest line of a bulk.")
    max_record_bytes: Bytes = Field(
        MIB,
        le=1792 * KIB,
        description="Largest record, as canonical JSON, also after a patch. At most 1,835,008: an "
        "entry of Kafka's log has to hold it, and a document of MongoDB, which can be six times "
        "as large as its JSON.",
    )
    max_get_ids: Count = Field(1000, description="Most ids in one `records:get`.")
    max_page_size: Count = Field(1000, description="Largest `page_size`.")
    page_size: Count = Field(100, description="`page_size` where none is asked for.")

    key_requests_per_second: PerSecond | None = Field(
        None,
        description="Requests a second that a key may make, unless it has a rate of its own; see "
        "[quotas](http-api.md#quotas). Without it, as many as there are.",
    )
    key_bytes_per_second: PerSecond | None = Field(
        None, description="The same in bytes of bodies, sent and received, decompressed."
    )
    tenant_requests_per_second: PerSecond | None = Field(
        None, description="Requests a second that all keys of a tenant may make together."
    )
    tenant_bytes_per_second: PerSecond | None = Field(
        None, description="The same in bytes of bodies, sent and received, decompressed."
    )

    scan_records: Count = Field(
        10_000,
        description="Records above which a collection is large: a query that no index serves is "
        "refused there, unless it accepts a scan.",
    )
    scans_at_once: Count = Field(
        2, description="Scans of large collections that a tenant may run at once, in each process."
    )
    slow_query_ms: Milliseconds = Field(
        200, description="Time above which a query is logged, without its values."
    )

    bulk_lag_ms: Milliseconds = Field(
        2_000, description="Apply lag above which bulk bodies are read no further for the moment."
    )
    backlog_ms: Milliseconds = Field(
        3_600_000, description="Apply lag above which writes are refused (`backlog_full`)."
    )
    log_retention_ms: Milliseconds = Field(
        24 * 3_600_000,
        description="Age below which log entries are kept, also when applied. Tombstones and "
        "outcomes outlive it.",
    )
    idempotency_ms: Milliseconds = Field(
        24 * 3_600_000, description="How long the receipt of an Idempotency-Key is replayed."
    )
    cache_bytes: Bytes = Field(
        256 * MIB, description="Memory for the embedded cache, by estimate of its entries."
    )
    apply_entries: Count = Field(4_000, description="Most log entries applied in one transaction.")

    @classmethod
    def read(cls, **given: object) -> Configuration:
        """From the environment, with `given` (those that are not None) on top.

        Raises `ConfigurationError` with a sentence that names each wrong setting.
        """
        chosen = {name: value for name, value in given.items() if value is not None}
        try:
            return cls(**chosen)  # type: ignore[arg-type]  # the model itself checks the values
        except ValidationError as error:
            wrong = "; ".join(
                f"PENSTOCK_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors()
            )
            raise ConfigurationError(wrong) from None
