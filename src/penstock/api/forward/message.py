"""A request, as it is passed on."""

from __future__ import annotations

from typing import Final

from penstock.api.request import Request, target_of

_PASSED_ON: Final = (
    b"content-type",
    b"content-encoding",
    b"idempotency-key",
    b"if-match",
    b"if-none-match",
    b"prefer",
    b"penstock-receipt",
    b"cache-control",
    b"traceparent",
    b"tracestate",
)
"""What the services mind of a client's headers. All else stays here: its key, what it says of the
connection, and a voucher that it has made up."""


_WAY_BACK_MS: Final = 10
"""So much earlier a service has to be done: it knows better what to say then than our net."""


def method_of(request: Request) -> bytes:
    """GET for HEAD: our own server leaves the body away, and is told no length without one."""
    return b"GET" if request.method == "HEAD" else request.method.encode()


def message(request: Request, voucher: str, framing: bytes) -> bytes:
    """The head of a request to a service.

    Args:
        request: the client's.
        voucher: see `access.voucher`.
        framing: header lines that say how long the body is.
    """
    headers = request.headers
    passed_on = b"".join(
        [b"%b: %b\r\n" % (name, headers[name]) for name in _PASSED_ON if name in headers]
    )
    left_s = request.deadline - request.timing.clock.monotonic()
    left_ms = max(int(left_s * 1000) - _WAY_BACK_MS, 1)
    return (
        b"%b %b HTTP/1.1\r\nhost: penstock\r\npenstock-principal: %b\r\npenstock-timeout: %d\r\n"
        b"x-request-id: %b\r\n%b%b\r\n"
    ) % (
        method_of(request),
        target_of(request),
        voucher.encode(),
        left_ms,
        request.request_id.encode(),
        passed_on,
        framing,
    )
