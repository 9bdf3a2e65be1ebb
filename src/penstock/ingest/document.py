"""What a client sends as a record or patch, once decoded: checked, and made canonical."""

from __future__ import annotations

from typing import Any

from penstock.errors import Fault, Invalid, Malformed
from penstock.records.collection import Target
from penstock.records.document import encode
from penstock.records.operation import Kind


def canonical(value: Any, kind: Kind, target: Target, most_bytes: int, pointer: str = "") -> bytes:
    """The canonical JSON of a decoded body that is allowed.

    Args:
        value: as decoded.
        kind: a patch is checked against the schema where it is applied, not here.
        target: the collection.
        most_bytes: largest record.
        pointer: where the body stands in what the client sent; begins the pointers of the faults.

    Raises `Malformed` (`invalid_record`) for what is not an object, `Invalid` for what breaks the
    schema or the size.
    """
    if type(value) is not dict:
        detail = f"A {'patch' if kind is Kind.PATCH else 'record'} is a JSON object."
        raise Malformed("invalid_record", detail, faults=(Fault(pointer, detail),))
    if kind is not Kind.PATCH and not target.rules.free:
        _check(value, target, pointer)
    data = encode(value)
    if len(data) > most_bytes:
        raise Invalid("record_too_large", f"A record is at most {most_bytes} bytes.")
    return data


def _check(value: Any, target: Target, pointer: str) -> None:
    try:
        target.rules.check(value)
    except Invalid as error:
        faults = tuple(Fault(pointer + one.pointer, one.detail) for one in error.faults)
        raise Invalid(error.code, error.detail, faults=faults) from None
