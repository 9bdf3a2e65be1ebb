"""The error tree: everything that Penstock refuses or fails with, drawn once.

::

    PenstockError
    ├── Refused                      the caller must change something
    │   ├── Malformed                400  the bytes, names or parameters are wrong
    │   ├── Unauthenticated          401
    │   ├── Forbidden                403
    │   ├── NotFound                 404
    │   ├── Conflict                 409
    │   ├── PreconditionFailed       412
    │   ├── TooLarge                 413
    │   ├── Unsupported              415
    │   ├── Invalid                  422  well-formed, but against the collection's rules
    │   └── QuotaExceeded            429
    └── Unavailable                  503  try again; nothing is wrong with the request
        ├── OutcomeUnknown           503  the write may or may not have been made durable
        └── DeadlineExceeded         503

Beside these two stand what stops a worker: `LogDiverged` and `TooManyDefects`.

The numbers are what the API layer answers; nothing here or below it knows HTTP. Each error
carries a `code` of the closed set `CODES`, a sentence for the client (`detail`) and, apart from
it, a sentence for the log (`internal`), which never leaves the process.
"""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple

CODES: Final[dict[str, str]] = {
    "malformed_request": "What arrived is not an HTTP/1.1 request that we can read.",
    "malformed_json": "The body, or a line of it, is not JSON as RFC 8259 has it.",
    "invalid_record": "The JSON holds something that a record cannot: see `errors`.",
    "invalid_id": "A record id is empty, too long, or has control characters.",
    "invalid_name": "A collection name is not lower-case letters, digits, `-` and `_`.",
    "invalid_collection": "The settings of the collection are wrong: see `errors`.",
    "invalid_parameter": "A query parameter is unknown, repeated or out of range.",
    "invalid_header": "A request header has a value that cannot be used.",
    "invalid_filter": "The filter is not one: see `errors`.",
    "invalid_line": "A line of a bulk request is not an operation.",
    "invalid_body": "The body is not the object that this request takes.",
    "invalid_page_token": "The page token is not one of ours, or belongs to another query.",
    "invalid_receipt": "The receipt is not one of ours, or belongs to another tenant.",
    "unauthenticated": "No key was given, or one that is not valid.",
    "forbidden": "The key does not allow this.",
    "route_not_found": "There is nothing at this address.",
    "collection_not_found": "There is no such collection.",
    "record_not_found": "There is no such record.",
    "method_not_allowed": "The address exists, but not with this method.",
    "record_exists": "The record exists already.",
    "idempotency_in_flight": "A request with the same Idempotency-Key is being worked on.",
    "precondition_failed": "The record is not at the version that the request names.",
    "body_too_large": "The body is over the limit.",
    "answer_too_large": "The records are more than 32 MiB together: ask for fewer at once.",
    "line_too_large": "A line is over the limit.",
    "uri_too_long": "The request target is over the limit.",
    "headers_too_large": "The request headers are over the limit.",
    "unsupported_media_type": "The Content-Type is not the one that this request takes.",
    "unsupported_encoding": "The Content-Encoding is none of identity, gzip and zstd.",
    "schema_violation": "The record breaks the schema of its collection: see `errors`.",
    "index_required": "No index serves the query, and the collection is too large to scan.",
    "record_too_large": "The record, after the change, is over the limit.",
    "idempotency_mismatch": "The Idempotency-Key was used before, with another request.",
    "quarantined": "The write could not be applied and was put aside for the operator.",
    "dead_letter_not_found": "There is no such dead letter.",
    "key_not_found": "There is no such key.",
    "quota_exceeded": "Your quota is used up for the moment.",
    "request_timeout": "The request did not arrive in time.",
    "log_unavailable": "The log does not take writes at the moment; nothing was written.",
    "outcome_unknown": "The write may or may not be durable; send it again with the same key.",
    "backlog_full": "Applied records lag too far behind; nothing was written.",
    "store_unavailable": "The store does not answer at the moment.",
    "issuer_unavailable": "The issuer of tokens does not answer at the moment.",
    "not_applied_yet": "The write behind the receipt was not applied within the deadline.",
    "overloaded": "The service is at its limit; nothing was done.",
    "deadline_exceeded": "The answer was not ready within the deadline; nothing was written.",
    "shutting_down": "The process is draining; another one will answer.",
    "internal": "A defect of ours; the request id finds it in the log.",
}


class Fault(NamedTuple):
    """One thing that is wrong in a document: a JSON pointer (RFC 6901) to it, and a sentence."""

    pointer: str
    detail: str


class PenstockError(Exception):
    """The root. `detail` is for the client, `internal` for the log, `faults` point into the input.

    Args:
        code: one of `CODES`.
        detail: a sentence for the client; without one, the code's own sentence.
        faults: what is wrong where, in the order of the input.
        retry_after: seconds after which to try again, where that makes sense.
        internal: a sentence for the log only.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        faults: tuple[Fault, ...] = (),
        retry_after: float | None = None,
        internal: str = "",
    ) -> None:
        assert code in CODES, code
        self.code = code
        self.detail = detail or CODES[code]
        self.faults = faults
        self.retry_after = retry_after
        self.internal = internal
        super().__init__(f"{code}: {self.detail}" + (f" [{internal}]" if internal else ""))


class Refused(PenstockError):
    """The caller must change something; the same request would be refused again."""


class Malformed(Refused):
    """The bytes, names or parameters are wrong."""


class Unauthenticated(Refused):
    """No valid key. The same for a missing and for a wrong one."""

    def __init__(self) -> None:
        super().__init__("unauthenticated")


class Forbidden(Refused):
    """The principal may not do this."""


class NotFound(Refused):
    """There is nothing there, or nothing that this tenant may know of."""


class MethodNotAllowed(Refused):
    """The address exists, with other methods; `allowed` lists them."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__("method_not_allowed", f"This address takes {', '.join(allowed)}.")
        self.allowed = allowed


class Conflict(Refused):
    """The state of things is against it."""


class PreconditionFailed(Refused):
    """If-Match or If-None-Match did not hold."""


class TooLarge(Refused):
    """Over a limit of size."""


class Unsupported(Refused):
    """A media type or coding that we do not take."""


class Invalid(Refused):
    """Well-formed, but against the rules of the collection."""


class QuotaExceeded(Refused):
    """The caller's own quota; `policies` names what of it is used up."""

    retryable = True

    def __init__(self, detail: str, policies: tuple[str, ...], retry_after: float) -> None:
        super().__init__("quota_exceeded", detail, retry_after=retry_after)
        self.policies = policies


class Unavailable(PenstockError):
    """Ours to mend: the same request may well succeed later."""

    retryable = True


class OutcomeUnknown(Unavailable):
    """The write may or may not have been made durable."""

    def __init__(self, internal: str = "") -> None:
        super().__init__("outcome_unknown", retry_after=1, internal=internal)


class DeadlineExceeded(Unavailable):
    """Not within the deadline, and nothing was written."""

    def __init__(self, internal: str = "") -> None:
        super().__init__("deadline_exceeded", retry_after=1, internal=internal)


class LogDiverged(PenstockError):
    """The log is not the one that the store was built from; going on would lose writes silently."""

    def __init__(self, internal: str) -> None:
        super().__init__("log_unavailable", retry_after=60, internal=internal)


class TooManyDefects(PenstockError):
    """So much could not be applied that the code, not the data, has to be suspected."""

    def __init__(self, internal: str) -> None:
        super().__init__("log_unavailable", retry_after=60, internal=internal)


class ConfigurationError(Exception):
    """The configuration cannot work; the message says which setting and why."""
