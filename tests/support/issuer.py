"""An issuer of tokens: its keys, what it signs, and the web server that publishes the keys."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE: Final = "penstock"


class Signer:
    """A key pair of an issuer.

    Attributes:
        private: signs.
        published: the public key as a JSON Web Key.
    """

    def __init__(self, algorithm: str, key_id: str, rsa_bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.key_id = key_id
        self.private: Any
        if algorithm == "RS256":
            self.private = rsa.generate_private_key(65537, rsa_bits)
            public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        elif algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
            public = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()
            public = OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        self.published: dict[str, Any] = {
            **{name: value for name, value in public.items() if name != "key_ops"},
            "kid": key_id,
            "use": "sig",
            "alg": algorithm,
        }

    def token(self, claims: dict[str, Any], **header: Any) -> str:
        """Signed as it stands: whether the claims make sense is not looked at."""
        content = json.dumps(claims).encode()
        headers = {"kid": self.key_id, **header}
        return jwt.PyJWS().encode(content, self.private, self.algorithm, headers)


def claims(issuer: str, now: float | None = None, **more: Any) -> dict[str, Any]:
    """Those of a token that is valid for five minutes; None takes one away."""
    now = time.time() if now is None else now
    given = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": now,
        "exp": now + 300,
        "tenant": "acme",
        "scope": "openid read:orders-*",
        **more,
    }
    return {name: value for name, value in given.items() if value is not None}


class Provider:
    """A web server on loopback with the metadata and the keys of an issuer.

    Attributes:
        documents: what it answers, by path; anything else is 404.
        asked: the paths that were asked for.
    """

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.asked: list[str] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                content = provider.documents.get(self.path)
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_args: object) -> None:
                """Nothing: `asked` has it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.document(
            "/.well-known/openid-configuration",
            {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
        )

    def document(self, path: str, content: Any) -> None:
        self.documents[path] = json.dumps(content).encode()

    def publish(self, *signers: Signer) -> None:
        self.document("/keys", {"keys": [one.published for one in signers]})

    def run(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def provider() -> Iterator[Provider]:
    one = Provider()
    one.run()
    try:
        yield one
    finally:
        one.stop()
