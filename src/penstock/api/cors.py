"""Cross-origin requests from browsers (the Fetch standard): off, but for origins that are listed.

It is the browser that keeps a page from reading our answers; this only tells it which pages may.
What a request may do, its key decides, wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from penstock.api.headers import HeaderMap
from penstock.api.response import Header, Headers, Response

_MAX_AGE_S: Final = 600
_EXPOSED: Final = (
    b"age, etag, location, penstock-receipt, preference-applied, ratelimit, ratelimit-policy, "
    b"retry-after, x-request-id"
)
_ALLOWED: Final = (
    b"authorization, cache-control, content-encoding, content-type, idempotency-key, if-match, "
    b"if-none-match, penstock-receipt, penstock-timeout, prefer, x-request-id"
)
_VARY: Final[Header] = (b"vary", b"origin")


class Cors:
    """The origins whose pages may ask."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._answers: dict[bytes, Headers] = {
            origin.encode(): (
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-expose-headers", _EXPOSED),
                _VARY,
            )
            for origin in origins
        }

    def marks(self, headers: HeaderMap) -> Headers:
        """What the answer to a request with these headers carries."""
        return self._answers.get(headers.get(b"origin", b""), (_VARY,))

    def preflight(self, headers: HeaderMap, methods: tuple[str, ...]) -> Response | None:
        """The answer to a browser that asks, without a key, what it may send; None if it does not.

        Args:
            headers: of an OPTIONS request.
            methods: that its address takes.
        """
        if b"access-control-request-method" not in headers:
            return None
        if headers.get(b"origin", b"") not in self._answers:
            return None
        return Response(
            204,
            (
                (b"access-control-allow-methods", ", ".join(methods).encode()),
                (b"access-control-allow-headers", _ALLOWED),
                (b"access-control-max-age", b"%d" % _MAX_AGE_S),
            ),
        )
