"""A line of a bulk: from its bytes to an operation."""

from __future__ import annotations

from typing import Any, Final

from penstock.errors import Fault, Malformed
from penstock.ingest.document import canonical
from penstock.records.collection import Target
from penstock.records.document import decode
from penstock.records.identifier import check_record_id, record_id_of_key, record_ids_of_bulk
from penstock.records.operation import Kind, Operation, client_operation_id, line_operation_id

_KINDS: Final = {kind.word: kind for kind in Kind}
_MEMBERS: Final = frozenset(("op", "id", "data", "idempotency_key"))
_MOST_KEY: Final = 255


class Lines:
    """Reads the lines of one bulk.

    Args:
        target: the collection.
        operation_id: of the bulk as a whole; each line's is made from it and the line's number.
        record_bytes: largest record.
    """

    def __init__(self, target: Target, operation_id: str, record_bytes: int) -> None:
        self._target = target
        self._operation_id = operation_id
        self._record_bytes = record_bytes
        self._id_prefix = record_ids_of_bulk(operation_id)

    def operation(self, number: int, line: bytes, *, suspicious: bool) -> Operation:
        """The operation on a line (numbered from 0); `suspicious` as for `decode`.

        Raises `Malformed` and `Invalid`; pointers are into the line.
        """
        value = decode(line, "data", suspicious=suspicious)
        if type(value) is not dict or not value.keys() <= _MEMBERS:
            raise _bad("", f"A line is an object with {', '.join(sorted(_MEMBERS))} at most.")
        record_id = value.get("id")
        kind = self._kind(value, record_id)
        key = value.get("idempotency_key")
        operation_id = self._line_id(number, key)
        if record_id is not None:
            check_record_id(record_id)
        elif key is not None:
            # Whatever bulk the line comes in again, it names the same record.
            record_id = record_id_of_key(operation_id)
        else:
            record_id = f"{self._id_prefix}{number:08x}"
        data = b""
        if kind is not Kind.DELETE:
            data = canonical(value.get("data"), kind, self._target, self._record_bytes, "/data")
        elif "data" in value:
            raise _bad("/data", "A delete has no data.")
        target = self._target
        return Operation(
            int(kind),
            target.tenant,
            target.collection.id,
            record_id,
            operation_id,
            data,
            target.collection.revision,
        )

    def _kind(self, value: dict[str, Any], record_id: Any) -> Kind:
        if record_id is not None and type(record_id) is not str:
            raise _bad("/id", "An id is a string.")
        word = value.get("op")
        if word is None:
            return Kind.CREATE if record_id is None else Kind.PUT
        kind = _KINDS.get(word) if type(word) is str else None
        if kind is None:
            raise _bad("/op", f"op is one of {', '.join(_KINDS)}.")
        if record_id is None and kind is not Kind.CREATE:
            raise _bad("/id", f"A {word} names its record.")
        return kind

    def _line_id(self, number: int, key: Any) -> str:
        if key is None:
            return line_operation_id(self._operation_id, number)
        if type(key) is not str or not 0 < len(key) <= _MOST_KEY:
            raise _bad("/idempotency_key", f"A key is a string of 1 to {_MOST_KEY} characters.")
        return client_operation_id(self._target.tenant, self._target.collection.id, key)


def _bad(pointer: str, detail: str) -> Malformed:
    return Malformed("invalid_line", detail, faults=(Fault(pointer, detail),))
