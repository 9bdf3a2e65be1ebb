"""JSON Schema 2020-12 for the records of a collection."""

from __future__ import annotations

from typing import Any, Final

import jsonschema_rs

from penstock.errors import Fault, Invalid, Malformed
from penstock.records.document import escape

MAX_SCHEMA_BYTES: Final = 64 * 1024
_MOST_FAULTS: Final = 20


class Schema:
    """A compiled schema. References to other documents are refused: nothing is ever fetched."""

    def __init__(self, document: Any) -> None:
        """Raises `Malformed` (`invalid_collection`) where the document is not a usable schema."""
        if not isinstance(document, dict | bool):
            raise _bad("A schema is an object.")
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                document, validate_formats=True, retriever=_refuse_to_fetch
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise _bad(f"Not a JSON Schema: {str(error).splitlines()[0][:300]}") from None
        self._is_valid = self._validator.is_valid

    def check(self, value: Any) -> None:
        """Raise `Invalid` (`schema_violation`) with a pointer for each thing that breaks it."""
        if self._is_valid(value):
            return
        faults: list[Fault] = []
        for error in self._validator.iter_errors(value):
            pointer = "".join(f"/{escape(str(part))}" for part in error.instance_path)
            faults.append(Fault(pointer, error.message[:300]))
            if len(faults) >= _MOST_FAULTS:
                break
        raise Invalid("schema_violation", faults=tuple(faults))


def _refuse_to_fetch(uri: str) -> Any:
    raise ValueError(f"the schema refers to {uri[:100]}, and nothing is fetched")


def _bad(detail: str) -> Malformed:
    return Malformed("invalid_collection", detail, faults=(Fault("/schema", detail),))
