"""Engines that ask who comes: every way in that an address can name, and every refusal."""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
from tests.contract.logs import append, numbered, polled
from tests.contract.stores import insert, new_collection, read, state
from tests.support.servers.certificates import Authority
from tests.support.servers.kafka import Kafka
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.redis import Redis
from tests.support.servers.secured import QUOTED, SECRET, USER, SecuredMongoDB, SecuredRedis
from tests.support.servers.secured_kafka import SecuredKafka, token_endpoint, unsecured_token

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.kafka.address import settings_of
from penstock.adapters.kafka.log import KafkaLog
from penstock.adapters.mongodb.store import MongoStore
from penstock.adapters.redis.cache import RedisCache
from penstock.errors import PenstockError, Unavailable
from penstock.ports.cache import Cached, Key
from penstock.records.position import Partition

DAY_MS = 86_400_000
SOON_S = 20
WRONG = "wrong-secret"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secured")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder / "own", "authority")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    """Of whom the servers know nothing."""
    return Authority(folder / "strange", "stranger")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.issue(USER, "clients")


@pytest.fixture(scope="module")
def broker(folder: Path, authority: Authority, kafka: Kafka) -> Iterator[SecuredKafka]:
    del kafka  # that one can be had says the fixture asked for before
    server = SecuredKafka(folder / "kafka", authority)
    try:
        server.start()
        yield server
    finally:
        server.stop()


async def written_and_read(url: str, name: str | None = None) -> None:
    """A log of its own takes entries and gives them back."""
    log = KafkaLog(
        settings_of(url), name or f"{USER}-{uuid4().hex}", 1, 5_000, DAY_MS, "classic",
        SystemClock(),
    )  # fmt: skip
    try:
        written = await append(log, numbered("r", range(3)))
        consumer = log.consumer(_from_the_start)
        entries = await polled(consumer, 10, SOON_S)
        await consumer.close()
        assert [entry.position for entry in entries] == written
        assert (await log.entry(written[0])) == entries[0]
    finally:
        await log.close()


async def _from_the_start(partitions: object) -> dict[Partition, None]:
    assert isinstance(partitions, list)
    return dict.fromkeys(partitions)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_kafka_by_password(
    broker: SecuredKafka, authority: Authority, mechanism: str
) -> None:
    where = f"{broker.sasl}?mechanism={mechanism}&ca={authority.path}"
    await written_and_read(f"kafka+ssl://{USER}:{QUOTED}@{where}")


async def test_kafka_by_certificate(
    broker: SecuredKafka, authority: Authority, certificate: Path
) -> None:
    where = f"{broker.mutual}?ca={authority.path}&cert={certificate}&key={certificate}"
    await written_and_read(f"kafka+ssl://{where}")


async def test_kafka_by_a_token_of_an_openid_provider(
    broker: SecuredKafka, authority: Authority
) -> None:
    with token_endpoint(USER) as endpoint:
        where = f"{broker.sasl}?mechanism=OAUTHBEARER&ca={authority.path}&token_url={endpoint}"
        await written_and_read(f"kafka+ssl://client:{QUOTED}@{where}&scope=kafka")


async def test_kafka_by_a_token_of_a_provider_for_msk(
    broker: SecuredKafka, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker is none of AWS's: it takes the token of a provider that is none either."""
    asked: list[str] = []

    def generate(region: str) -> tuple[str, int]:
        asked.append(region)
        return unsecured_token(USER), int((time.time() + 900) * 1000)

    monkeypatch.setattr(MSKAuthTokenProvider, "generate_auth_token", generate)
    where = f"{broker.sasl}?mechanism=AWS_MSK_IAM&region=eu-north-1&ca={authority.path}"
    await written_and_read(f"kafka+ssl://{where}")
    assert set(asked) == {"eu-north-1"}


def test_the_token_for_msk_is_a_signed_request_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    settings = settings_of("kafka+ssl://a:9098?mechanism=AWS_MSK_IAM&region=eu-north-1")
    token, expires_at = settings["oauth_cb"]("")
    signed = urlsafe_b64decode(token + "==").decode()
    assert "kafka.eu-north-1.amazonaws.com" in signed
    assert "Action=kafka-cluster%3AConnect" in signed
    assert "AKIDEXAMPLE" in signed
    assert 0 < expires_at - time.time() <= 3600


async def test_kafka_refuses_who_it_does_not_know(
    broker: SecuredKafka,
    authority: Authority,
    stranger: Authority,
    capfd: pytest.CaptureFixture[str],
) -> None:
    foreign = stranger.issue(USER, "clients")
    for url in (
        f"kafka+ssl://{USER}:{WRONG}@{broker.sasl}?mechanism=PLAIN&ca={authority.path}",
        f"kafka+ssl://{USER}:{WRONG}@{broker.sasl}?ca={authority.path}",
        f"kafka+ssl://{USER}:{QUOTED}@{broker.sasl}?mechanism=PLAIN&ca={stranger.path}",
        f"kafka+ssl://{broker.mutual}?ca={authority.path}",
        f"kafka+ssl://{broker.mutual}?ca={authority.path}&cert={foreign}&key={foreign}",
    ):
        began = time.monotonic()
        with pytest.raises(Unavailable) as refused:
            await written_and_read(url)
        assert time.monotonic() < began + SOON_S / 2
        assert refused.value.code == "log_unavailable"
        assert "SSL" in str(refused.value) or "uthenticat" in str(refused.value)
        told = str(refused.value) + "".join(capfd.readouterr())
        assert WRONG not in told
        assert SECRET not in told


async def test_kafka_refuses_who_may_not(broker: SecuredKafka, authority: Authority) -> None:
    where = f"{broker.sasl}?mechanism=PLAIN&ca={authority.path}"
    with pytest.raises(Unavailable, match="uthoriz"):
        await written_and_read(f"kafka+ssl://stranger:{QUOTED}@{where}")
    # Ours may not touch others' topics either.
    with pytest.raises(Unavailable, match="uthoriz"):
        await written_and_read(f"kafka+ssl://{USER}:{QUOTED}@{where}", name="others")


@pytest.fixture(scope="module")
def database(folder: Path, authority: Authority, mongodb: MongoDB) -> Iterator[str]:
    """The address of one that asks for TLS and a user, without either."""
    del mongodb
    server = SecuredMongoDB(folder / "mongodb", authority)
    try:
        server.start()
        yield server.mongodb.url.removeprefix("mongodb://")
    finally:
        server.stop()


async def stored_and_read(url: str) -> None:
    store = MongoStore(url, USER, timeout_s=5.0)
    collection = new_collection()
    try:
        assert await insert(store, collection, [state("a", 1)]) == []
        assert await read(store, collection, "a") == state("a", 1)
    finally:
        await store.close()


async def test_mongodb_by_password_and_by_certificate(
    database: str, authority: Authority, certificate: Path
) -> None:
    tls = f"tls=true&tlsCAFile={quote(str(authority.path))}"
    await stored_and_read(f"mongodb://{USER}:{QUOTED}@{database}&{tls}&authSource=admin")
    key = f"tlsCertificateKeyFile={quote(str(certificate))}"
    x509 = "authMechanism=MONGODB-X509&authSource=$external"
    await stored_and_read(f"mongodb://{database}&{tls}&{key}&{x509}")


async def test_mongodb_refuses_who_it_does_not_know(
    database: str, authority: Authority, stranger: Authority
) -> None:
    tls = "tls=true&tlsCAFile="
    for url in (
        f"mongodb://{USER}:{WRONG}@{database}&{tls}{authority.path}&authSource=admin",
        f"mongodb://{USER}:{QUOTED}@{database}&{tls}{stranger.path}&authSource=admin",
        f"mongodb://{database}&{tls}{authority.path}",
        f"mongodb://{database}",
    ):
        with pytest.raises(PenstockError) as refused:
            await stored_and_read(url)
        assert refused.value.code == "store_unavailable"
        assert WRONG not in str(refused.value)


@pytest.fixture(scope="module", params=[False, True], ids=["single", "cluster"])
def cache(
    folder: Path, authority: Authority, redis: Redis, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The scheme and the host of one that asks for TLS and a user."""
    del redis
    name = "redis-cluster" if request.param else "redis"
    server = SecuredRedis(folder / name, authority, cluster=request.param)
    try:
        server.start()
        scheme = "rediss+cluster" if request.param else "rediss"
        yield f"{scheme}://%s@127.0.0.1:{server.port}"
    finally:
        server.stop()


async def cached_and_read(url: str) -> bool:
    cache = RedisCache(url, 2.0, SystemClock(), SystemEntropy())
    key = Key("t", new_collection(), "a")
    value = Cached.of(key, state("a", 1), 0, 60_000)
    try:
        await cache.reserve([key], "token")
        await cache.fill([value], "token")
        await cache.write([value])
        present = await cache.present(*key[:2], ["a"])
        claimed = await cache.claim("k", b"v", 1_000)
        await cache.release("k", b"v")
        counted = await cache.add({"n": 0}, 1_000)
        return (await cache.get([key]), present, claimed, counted) == (
            [value],
            {"a"},
            None,
            {"n": 0},
        )
    finally:
        await cache.close()


async def test_redis_by_a_user_with_few_rights(cache: str, authority: Authority) -> None:
    tls = f"?ssl_ca_certs={authority.path}"
    assert await cached_and_read(cache % f"{USER}:{QUOTED}" + tls)


async def test_redis_that_refuses_is_a_cache_that_misses(
    cache: str, authority: Authority, stranger: Authority, capfd: pytest.CaptureFixture[str]
) -> None:
    for credentials, known in (
        (f"{USER}:{WRONG}", authority),
        (f"{USER}:{QUOTED}", stranger),
        ("nobody:nothing", authority),
    ):
        assert not await cached_and_read(f"{cache % credentials}?ssl_ca_certs={known.path}")
    told = "".join(capfd.readouterr())
    assert WRONG not in told
    assert SECRET not in told
