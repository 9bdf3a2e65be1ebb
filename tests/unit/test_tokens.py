"""Which tokens are taken, and which are not, whatever they say of themselves."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support.clock import HandClock
from tests.support.issuer import AUDIENCE, Provider, Signer, claims, provider

from penstock.access.claims import ClaimNames
from penstock.access.principal import Principal
from penstock.access.tokens import TokenRules, Tokens
from penstock.adapters.embedded.issuer import FileIssuer
from penstock.adapters.oidc.issuer import WebIssuer
from penstock.errors import ConfigurationError, Unauthenticated, Unavailable
from penstock.records.key import digest_of
from penstock.records.scope import Scope, Verb
from penstock.records.token import Published

ISSUER = "https://issuer.example/"
RSA = Signer("RS256", "rsa")
EC = Signer("ES256", "ec")
ED = Signer("EdDSA", "ed")
FOREIGN = Signer("ES256", "ec")
"""Another's key, under the same id."""


class IssuerInHand:
    """Stands in for an issuer: what it publishes, and whether it answers."""

    def __init__(self, *signers: Signer) -> None:
        self.published: list[dict[str, Any]] = [one.published for one in signers]
        self.away = False
        self.asked = 0

    async def keys(self) -> Published:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("issuer_unavailable")
        return list(self.published)

    async def close(self) -> None:
        """Nothing is open."""


class Door:
    """Tokens of such an issuer, on a clock that is set by hand."""

    def __init__(self, *signers: Signer, leeway_ms: int = 0) -> None:
        self.clock = HandClock()
        self.issuer = IssuerInHand(*signers)
        rules = TokenRules(ISSUER, AUDIENCE, ClaimNames("tenant", "scope"), leeway_ms)
        self.tokens = Tokens(self.issuer, rules, self.clock)

    @property
    def now(self) -> float:
        return self.clock.now() / 1000

    def claims(self, **more: Any) -> dict[str, Any]:
        return claims(ISSUER, self.now, **more)

    async def __call__(self, token: str) -> Principal:
        text = token.encode()
        return (await self.tokens.find(text, digest_of(text))).principal

    def known(self, token: str) -> bool:
        return self.tokens.recall(digest_of(token.encode())) is not None

    async def refuses(self, token: str) -> bool:
        try:
            await self(token)
        except Unauthenticated:
            return True
        return False


@pytest.fixture
def door() -> Door:
    return Door(RSA, EC, ED)


def handmade(header: Any, payload: Any, secret: bytes | None = None) -> str:
    """A token made by hand, as no library would make it."""
    parts = [part(json.dumps(one).encode()) for one in (header, payload)]
    text = ".".join(parts)
    signature = b"" if secret is None else hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{part(signature)}"


def part(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.mark.parametrize("signer", [RSA, EC, ED], ids=lambda one: one.algorithm)
async def test_a_token_of_the_issuer_says_whose_it_is_and_what_it_may(
    door: Door, signer: Signer
) -> None:
    token = signer.token(door.claims())
    principal = await door(token)
    scopes = (Scope("orders-*", (Verb.READ,)),)
    assert principal == Principal("acme", "token:alice", scopes)
    assert not principal.is_operator
    assert door.known(token)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("read:a write:b-*", [Scope("a", (Verb.READ,)), Scope("b-*", (Verb.WRITE,))]),
        (["read,write:*"], [Scope("*", (Verb.READ, Verb.WRITE))]),
        ([{"collections": "a", "verbs": ["admin"]}], [Scope("a", (Verb.ADMIN,))]),
        ("openid email own:a read read: :a read:A READ:a read:a:b", []),
        ([{"collections": "A", "verbs": ["read"]}, {"collections": "a"}, 7, None, [], {}], []),
        (
            [{"collections": "a", "verbs": ["read"], "more": 1}, "read:b"],
            [Scope("b", (Verb.READ,))],
        ),
        (None, []),
        (7, []),
    ],
)
async def test_scopes_are_words_or_objects_and_what_is_neither_allows_nothing(
    door: Door, claim: Any, expected: list[Scope]
) -> None:
    assert list((await door(EC.token(door.claims(scope=claim)))).scopes) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://issuer.example"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "penstock2"},
        {"aud": ["other"]},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 1e300},
        {"exp": -1},
        {"exp": 1_767_225_600},
        {"nbf": 1_767_225_601},
        {"iat": 1_767_225_601},
        {"tenant": None},
        {"tenant": ""},
        {"tenant": "ACME"},
        {"tenant": "a:b"},
        {"tenant": ["acme"]},
        {"tenant": "acme\n"},
    ],
    ids=str,
)
async def test_a_token_that_says_the_wrong_thing_is_refused(
    door: Door, wrong: dict[str, Any]
) -> None:
    assert not await door.refuses(EC.token(door.claims()))
    payload = door.claims() | wrong
    token = EC.token({name: value for name, value in payload.items() if value is not None})
    assert await door.refuses(token)
    assert not door.known(token)


async def test_a_token_for_several_is_taken_by_each(door: Door) -> None:
    assert not await door.refuses(EC.token(door.claims(aud=["other", AUDIENCE])))


async def test_clocks_may_differ_by_the_leeway_and_no_more() -> None:
    door = Door(EC, leeway_ms=30_000)
    for name, offset, refused in (
        ("exp", -29.9, False),
        ("exp", -30, True),
        ("nbf", 30, False),
        ("nbf", 30.1, True),
        ("iat", 30.1, True),
    ):
        token = EC.token(door.claims(**{name: door.now + offset}))
        assert await door.refuses(token) == refused, (name, offset)


async def test_no_token_chooses_how_it_is_verified(door: Door) -> None:
    public = RSA.private.public_key()
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip(),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(RSA.published).encode(),
        RSA.published["n"].encode(),
        b"",
    ]
    for key_id in ("rsa", "ec", "ed"):
        for algorithm in ("none", "None", "NONE", "", "HS256", "HS512", "RS512", "PS256"):
            for secret in (None, *secrets):
                header = {"alg": algorithm, "kid": key_id, "typ": "JWT"}
                assert await door.refuses(handmade(header, door.claims(), secret))
    genuine = RSA.token(door.claims())
    assert await door.refuses(genuine.rpartition(".")[0] + ".")
    assert not await door.refuses(genuine)


async def test_a_key_is_good_for_its_own_algorithm_only(door: Door) -> None:
    for header in ({"kid": "ec"}, {"kid": "ed"}):
        assert await door.refuses(RSA.token(door.claims(), **header))
    assert await door.refuses(FOREIGN.token(door.claims()))


@pytest.mark.parametrize("header", [{"kid": None}, {"kid": 7}, {"crit": ["x"]}, {"kid": "none"}])
async def test_a_token_with_another_header_is_refused(door: Door, header: dict[str, Any]) -> None:
    given = {"alg": "ES256", "kid": "ec", **header}
    head = part(json.dumps({name: one for name, one in given.items() if one is not None}).encode())
    assert await door.refuses(".".join([head, *EC.token(door.claims()).split(".")[1:]]))


@pytest.mark.parametrize(
    "token",
    ["..", "a.b.c", "e30.e30.", f"{part(b'[' * 5000)}.e30.", "x" * 9000 + ".b.c", "\u00e9.b.c"],
    ids=range(6),
)
async def test_what_is_no_token_is_refused(door: Door, token: str) -> None:
    assert await door.refuses(token)


async def test_a_changed_token_is_refused_whichever_part_was_changed(door: Door) -> None:
    head, body, signature = EC.token(door.claims()).split(".")
    payload = part(json.dumps(door.claims(tenant="other")).encode())
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for token in (f"{head}.{payload}.{signature}", f"{head}.{body}.{flipped}"):
        assert await door.refuses(token)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")  # that is the point
async def test_keys_that_will_not_do_are_not_used() -> None:
    weak = Signer("RS256", "weak", rsa_bits=1024)
    door = Door(weak)
    secret = part(b"0" * 32)
    door.issuer.published += [
        {"kty": "oct", "kid": "oct", "k": secret, "alg": "HS256"},
        {**EC.published, "use": "enc"},
        {**ED.published, "alg": "ES256"},
        {**RSA.published, "n": "!"},
        {"kty": "EC", "crv": "P-384", "kid": "p384"},
        {"kid": "nothing"},
        {**RSA.published, "kid": 7},
    ]
    symmetric = handmade({"alg": "HS256", "kid": "oct"}, door.claims(), b"0" * 32)
    for token in (symmetric, *(one.token(door.claims()) for one in (weak, EC, ED, RSA))):
        assert await door.refuses(token)


async def test_an_unknown_key_id_is_looked_for_once_in_a_while(door: Door) -> None:
    new = Signer("EdDSA", "new")
    await door(EC.token(door.claims()))
    assert door.issuer.asked == 1
    door.clock.advance(10_000)
    token = new.token(door.claims())
    for _ in range(50):
        assert await door.refuses(token)
    assert door.issuer.asked == 2
    door.issuer.published.append(new.published)
    assert await door.refuses(token)
    door.clock.advance(10_000)
    assert not await door.refuses(token)
    assert door.issuer.asked == 3


async def test_many_who_need_the_keys_share_one_question(door: Door) -> None:
    tokens = [EC.token(door.claims(sub=f"user-{number}")) for number in range(20)]
    principals = await asyncio.gather(*(door(one) for one in tokens))
    assert {one.key_id for one in principals} == {f"token:user-{number}" for number in range(20)}
    assert door.issuer.asked == 1


async def test_an_issuer_that_goes_away_leaves_its_keys_in_force(door: Door) -> None:
    token = EC.token(door.claims(exp=door.now + 10_000_000))
    await door(token)
    door.issuer.away = True
    for _ in range(3):
        door.clock.advance(3_600_000)
        await door.tokens.renew()
        assert door.known(token)
        assert not await door.refuses(RSA.token(door.claims()))
    assert await door.refuses(Signer("ES256", "new").token(door.claims()))


async def test_before_the_keys_were_ever_had_the_answer_is_that_they_cannot_be(door: Door) -> None:
    door.issuer.away = True
    token = EC.token(door.claims())
    for _ in range(5):
        with pytest.raises(Unavailable) as error:
            await door(token)
        assert error.value.code == "issuer_unavailable"
    assert door.issuer.asked == 1
    door.issuer.away = False
    door.clock.advance(10_000)
    assert not await door.refuses(token)


async def test_what_a_withdrawn_key_signed_is_refused_when_that_is_seen(door: Door) -> None:
    token = EC.token(door.claims(exp=door.now + 10_000))
    await door(token)
    door.issuer.published = [RSA.published]
    door.clock.advance(299_000)
    await door.tokens.renew()
    assert door.known(token)
    door.clock.advance(1_001)
    await door.tokens.renew()
    assert not door.known(token)
    assert await door.refuses(token)


async def test_an_expired_token_is_forgotten(door: Door) -> None:
    token = EC.token(door.claims())
    await door(token)
    door.clock.advance(300_000)
    await door.tokens.renew()
    assert not door.known(token)
    assert await door.refuses(token)


# Where the keys are published.


@pytest.fixture
def web() -> Iterator[Provider]:
    with provider() as one:
        one.publish(EC, ED)
        yield one


async def test_keys_are_found_by_the_issuers_metadata_or_at_their_own_address(
    web: Provider,
) -> None:
    for jwks_url, asked in (
        (None, ["/.well-known/openid-configuration", "/keys"]),
        (f"{web.url}/keys", ["/keys"]),
    ):
        web.asked.clear()
        issuer = WebIssuer(web.url, jwks_url)
        assert await issuer.keys() == [EC.published, ED.published]
        await issuer.close()
        assert web.asked == asked


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/.well-known/openid-configuration", b"{}"),
        ("/.well-known/openid-configuration", b'{"issuer":"https://x","jwks_uri":"https://x"}'),
        ("/.well-known/openid-configuration", b'{"issuer":"URL","jwks_uri":"http://example.org"}'),
        ("/.well-known/openid-configuration", b'{"issuer":"URL","jwks_uri":"file:///etc/hosts"}'),
        ("/.well-known/openid-configuration", b'{"issuer":"URL","jwks_uri":"URL/none"}'),
        ("/keys", b"<html>"),
        ("/keys", b'{"keys":{}}'),
        ("/keys", b'{"keys":[' + b" " * 2**20 + b"]}"),
    ],
    ids=range(8),
)
async def test_what_is_no_key_set_of_this_issuer_is_none(
    web: Provider, path: str, content: bytes
) -> None:
    web.documents[path] = content.replace(b"URL", web.url.encode())
    issuer = WebIssuer(web.url, None)
    with pytest.raises(Unavailable) as error:
        await issuer.keys()
    await issuer.close()
    assert error.value.code == "issuer_unavailable"


async def test_an_issuer_that_is_not_there_is_unavailable() -> None:
    issuer = WebIssuer("http://127.0.0.1:9", None)
    with pytest.raises(Unavailable):
        await issuer.keys()
    await issuer.close()


@pytest.mark.parametrize(
    "url", ["http://issuer.example", "ftp://x", "issuer", "http://127.0.0.1.x"]
)
def test_keys_are_not_fetched_where_anybody_could_change_them(url: str) -> None:
    for given in ((url, None), ("https://issuer.example", url)):
        with pytest.raises(ConfigurationError):
            WebIssuer(*given)


async def test_keys_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    issuer = FileIssuer(file)
    with pytest.raises(Unavailable):
        await issuer.keys()
    file.write_text(json.dumps({"keys": [EC.published]}))
    assert await issuer.keys() == [EC.published]
