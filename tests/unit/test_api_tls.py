"""HTTPS: a certificate that may be replaced while the server runs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.asgi import application_of
from tests.support.house import House
from tests.support.running import Running, only
from tests.support.servers.certificates import Authority

from penstock.api.server import Server
from penstock.api.tls import Certificate
from penstock.errors import ConfigurationError

LIVE = b"GET /livez HTTP/1.1\r\nHost: h\r\n"
CLOSE = b"Connection: close\r\n\r\n"
IDLE_S = 0.5


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates", "ours")


@pytest.fixture
async def house(tmp_path: Path, authority: Authority) -> AsyncIterator[House]:
    house = House(
        tmp_path / "data",
        port=0,
        idle_ms=int(IDLE_S * 1000),
        drain_ms=1000,
        tls_cert=authority.issue("server", "test"),
    )
    await house.start(worker=False)
    yield house
    await house.stop()


@pytest.fixture
async def running(house: House) -> AsyncIterator[Running]:
    running = Running(application_of(house), house)
    yield running
    running.server.stop()
    await running.task


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.path))


async def shown(running: Running, context: ssl.SSLContext) -> bytes:
    """The certificate that the server shows, as DER."""
    _, writer = await running.connect(ssl=context)
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return certificate


async def test_answers_come_over_tls_and_say_that_they_always_will(
    running: Running, authority: Authority
) -> None:
    assert (await running.url).startswith("https://127.0.0.1:")
    received = await running.exchange(LIVE + CLOSE, ssl=trusting(authority))
    assert only(received) == (200, "")
    assert b"\r\nstrict-transport-security: max-age=31536000\r\n" in received
    assert b"\r\nx-content-type-options: nosniff\r\n" in received


async def test_problems_of_framing_arrive_over_tls_too(
    running: Running, authority: Authority
) -> None:
    bad = LIVE + b"Bad Header: x\r\n\r\n" + b"x" * 100_000
    assert only(await running.exchange(bad, ssl=trusting(authority))) == (400, "malformed_request")
    assert only(await running.exchange(LIVE, ssl=trusting(authority)))[0] == 408


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_tls_before_1_2_is_refused(
    running: Running, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = trusting(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await running.connect(ssl=context)


async def test_tls_1_2_is_taken_with_forward_secrecy_only(
    running: Running, authority: Authority
) -> None:
    context = trusting(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert only(await running.exchange(LIVE + CLOSE, ssl=context)) == (200, "")
    context.set_ciphers("AES128-SHA:AES128-GCM-SHA256")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await running.connect(ssl=context)


async def test_plain_http_on_it_and_slow_handshakes_are_closed(running: Running) -> None:
    host, port = (await running.url).removeprefix("https://").split(":")
    plain_reader, plain = await asyncio.open_connection(host, int(port))
    plain.write(LIVE + CLOSE)
    slow_reader, slow = await asyncio.open_connection(host, int(port))
    slow.write(b"\x16\x03\x01")
    async with asyncio.timeout(10):
        for reader in (plain_reader, slow_reader):
            try:
                await reader.read()
            except ConnectionError:
                continue
    for writer in (plain, slow):
        writer.close()


async def test_a_new_certificate_is_shown_after_a_hangup(
    running: Running, authority: Authority
) -> None:
    context = trusting(authority)
    kept_reader, kept = await running.connect(ssl=context)
    before = await shown(running, context)
    authority.issue("server", "renewed")
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.sleep(0.1)
    assert await shown(running, context) != before
    kept.write(LIVE + CLOSE)
    assert only(await kept_reader.read()) == (200, "")
    kept.close()


def test_it_is_read_again_when_its_files_change_and_kept_where_they_cannot_be_used(
    authority: Authority,
) -> None:
    path = authority.issue("server", "test")
    certificate = Certificate(path, None)
    first = certificate.context
    certificate.refresh()
    assert certificate.context is first
    good = path.read_bytes()
    path.write_bytes(b"half of it")
    certificate.refresh()
    assert certificate.context is first
    path.unlink()
    certificate.refresh()
    assert certificate.context is first
    path.write_bytes(good)
    certificate.refresh()
    assert certificate.context is not first


def sentence(certificate: Path, key: Path | None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Certificate(certificate, key)
    return str(caught.value)


def test_what_is_wrong_with_a_certificate_is_a_sentence(
    authority: Authority, tmp_path: Path
) -> None:
    good, other = authority.issue("good", "test"), authority.issue("other", "test")
    nothing, text = tmp_path / "nothing.pem", tmp_path / "text.pem"
    text.write_text("a certificate")
    secret = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    locked = tmp_path / "locked.pem"
    locked.write_bytes(secret)
    assert (
        sentence(nothing, None)
        == f"PENSTOCK_TLS_CERT: cannot read {nothing}: No such file or directory"
    )
    assert "PENSTOCK_TLS_KEY: cannot read" in sentence(good, tmp_path)
    assert "does not begin with a PEM certificate" in sentence(text, None)
    assert sentence(authority.path, None).startswith("PENSTOCK_TLS_KEY: ")
    assert f"the key in {other} is not that of" in sentence(good, other)
    assert "is encrypted" in sentence(good, locked)


async def test_a_key_without_a_certificate_is_an_error_of_configuration(
    tmp_path: Path, authority: Authority
) -> None:
    house = House(tmp_path / "data", tls_key=authority.issue("server", "test"))
    await house.start(worker=False)
    with pytest.raises(ConfigurationError, match="PENSTOCK_TLS_CERT is not"):
        Server(application_of(house), house.configuration)
    await house.stop()


async def test_handshakes_count_as_connections(tmp_path: Path, authority: Authority) -> None:
    certificate = authority.issue("server", "test")
    house = House(tmp_path / "data", port=0, tls_cert=certificate, max_connections=4)
    await house.start(worker=False)
    running = Running(application_of(house), house)
    host, port = (await running.url).removeprefix("https://").split(":")
    crowd = [socket.create_connection((host, int(port))) for _ in range(4)]
    await asyncio.sleep(0.1)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await running.connect(ssl=trusting(authority))
    for one in crowd:
        one.close()
    await asyncio.sleep(0.1)
    assert only(await running.exchange(LIVE + CLOSE, ssl=trusting(authority))) == (200, "")
    running.server.stop()
    await running.task
    await house.stop()
