"""Tokens (JWT, RFC 7519) of an OpenID provider.

Which algorithm goes with a key follows from the key alone, never from the token: no token can have
itself verified by none, or by a secret that is the public key. Issuers that do not answer leave the
keys known so far in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from penstock.access.claims import ClaimNames, principal_of
from penstock.access.known import Known
from penstock.access.rounds import Rounds
from penstock.errors import Unauthenticated, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.issuer import Issuer
from penstock.records.token import Published
from penstock.telemetry.logs import logger

ASK_AGAIN_S: Final = 10.0
"""Between two questions to the issuer at least, whatever keys tokens name."""
RENEW_S: Final = 300.0
"""After which its keys are asked for unasked."""

_MOST_BYTES: Final = 8 * 1024
_MOST_KNOWN: Final = 20_000
_LEAST_RSA_BITS: Final = 2048
_ALGORITHMS: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_NO_TOKEN: Final = (jwt.PyJWTError, ValueError, RecursionError)

_log = logger("access")


class TokenRules(NamedTuple):
    """What a token must say: who issued it, for whom; and by which claims it says what it may."""

    issuer: str
    audience: str
    claims: ClaimNames
    leeway_ms: int


class _Verifier(NamedTuple):
    algorithm: str
    key: Any


class Tokens:
    """Verifies tokens once, and remembers them until they expire."""

    def __init__(self, issuer: Issuer, rules: TokenRules, clock: Clock) -> None:
        self._issuer = issuer
        self._rules = rules
        self._clock = clock
        self._known: dict[bytes, Known] = {}
        self._published: Published | None = None
        self._verifiers: dict[str, _Verifier] = {}
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")
        self._renewed_at = float("-inf")
        self._rounds = Rounds(self.renew, ASK_AGAIN_S)
        self.recall = self._known.get

    def start(self) -> None:
        self._rounds.start()

    @property
    def count(self) -> int:
        """How many are known."""
        return len(self._known)

    async def close(self) -> None:
        await self._rounds.close()
        if self._asking is not None:
            self._asking.cancel()
        await self._issuer.close()

    async def find(self, token: bytes, digest: bytes) -> Known:
        """What is not recalled. Raises `Unauthenticated` for what is not valid.

        Raises `Unavailable` (`issuer_unavailable`) while the issuer's keys were never had.
        """
        key_id, algorithm = _header(token)
        verifier = self._verifiers.get(key_id)
        if verifier is None:
            await self._ask()
            if self._published is None:
                raise Unavailable("issuer_unavailable", retry_after=1)
            verifier = self._verifiers.get(key_id)
        if verifier is None or verifier.algorithm != algorithm:
            raise Unauthenticated
        claims = self._verified(token, verifier)
        known = Known(
            principal_of(claims, self._rules.claims), self._end(claims), self._clock.now()
        )
        if len(self._known) >= _MOST_KNOWN:
            for old in list(islice(self._known, _MOST_KNOWN // 10)):
                del self._known[old]
        self._known[digest] = known
        return known

    async def renew(self) -> None:
        """Ask for the keys where that is due; forget what has expired."""
        now = self._clock.now()
        for digest in [one for one, known in self._known.items() if known.expires_at <= now]:
            del self._known[digest]
        if self._clock.monotonic() - self._renewed_at >= RENEW_S:
            await self._ask()

    def _verified(self, token: bytes, verifier: _Verifier) -> Mapping[str, Any]:
        """The claims of a token that has the right signature, issuer and audience."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                verifier.key,
                algorithms=[verifier.algorithm],
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    # Times are compared with our own clock, not with the system's.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except _NO_TOKEN:
            raise Unauthenticated from None
        return claims

    def _end(self, claims: Mapping[str, Any]) -> int:
        """Until when it is valid, ms since 1970. Raises `Unauthenticated` where it is not now."""
        now, leeway_ms = self._clock.now(), self._rules.leeway_ms
        expires_at = _time(claims["exp"]) + leeway_ms
        begins = [_time(claims[name]) for name in ("nbf", "iat") if name in claims]
        if expires_at <= now or any(begin - leeway_ms > now for begin in begins):
            raise Unauthenticated
        return expires_at

    async def _ask(self) -> None:
        """Ask for the keys, all who need them together, unless that was done a moment ago."""
        if self._asking is None:
            if self._clock.monotonic() - self._asked_at < ASK_AGAIN_S:
                return
            self._asked_at = self._clock.monotonic()
            self._asking = asyncio.create_task(self._take())
        # Shielded, since others may wait for it too.
        await asyncio.shield(self._asking)

    async def _take(self) -> None:
        try:
            published = await self._issuer.keys()
        except Unavailable as error:
            _log.warning("issuer_unreachable", reason=error.internal)
            return
        finally:
            self._asking = None
        self._renewed_at = self._clock.monotonic()
        if published != self._published:
            self._published = published
            self._verifiers = dict(_verifiers(published))
            # What a key signed that is withdrawn is not valid any more.
            self._known.clear()
            _log.info("issuer_keys", keys=sorted(self._verifiers))


def _header(token: bytes) -> tuple[str, str]:
    """The id of the key and the algorithm that a token names. Raises `Unauthenticated`."""
    if len(token) > _MOST_BYTES:
        raise Unauthenticated
    try:
        header = jwt.get_unverified_header(token)
    except _NO_TOKEN:
        raise Unauthenticated from None
    key_id, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(key_id, str) or not isinstance(algorithm, str) or "crit" in header:
        raise Unauthenticated
    return key_id, algorithm


def _verifiers(published: Published) -> list[tuple[str, _Verifier]]:
    """The keys that will do, by their ids."""
    found = []
    for one in published:
        kind = one.get("kty")
        algorithm = _ALGORITHMS.get((str(kind), None if kind == "RSA" else one.get("crv")))
        is_for_this = one.get("use", "sig") == "sig" and one.get("alg", algorithm) == algorithm
        if algorithm is None or not is_for_this or not isinstance(one.get("kid"), str):
            continue
        try:
            key = jwt.PyJWK(dict(one), algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        if not isinstance(key, RSAPublicKey) or key.key_size >= _LEAST_RSA_BITS:
            found.append((one["kid"], _Verifier(algorithm, key)))
    return found


def _time(claim: Any) -> int:
    """A NumericDate (RFC 7519, section 2) as ms since 1970. Raises `Unauthenticated`."""
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not 0 <= claim < 2**43:
        raise Unauthenticated
    return int(claim * 1000)
