"""JSON Schema 2020-12 for the records of a collection."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

import jsonschema_rs

from penstock.errors import Fault, Invalid, Malformed
from penstock.records.document import escape

MAX_SCHEMA_BYTES: Final = 64 * 1024
_MOST_FAULTS: Final = 20
_MOST_EXPANDED: Final = 20_000
_NO_SCHEMAS: Final = frozenset(("const", "enum", "default", "examples", "$defs", "definitions"))
"""Members that hold values, or what only counts where it is referred to."""


class Schema:
    """A compiled schema. References to other documents are refused: nothing is ever fetched."""

    def __init__(self, document: Any) -> None:
        """Raises `Malformed` (`invalid_collection`) where the document is not a usable schema."""
        if not isinstance(document, dict | bool):
            raise _bad("A schema is an object.")
        if _Expansion(document).size > _MOST_EXPANDED:
            raise _bad(
                f"With its references followed, the schema has over {_MOST_EXPANDED} parts: "
                "checking a record against it could take for ever."
            )
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


class _Expansion:
    """How large a schema is with its references followed: that bounds the work on one value.

    A schema of 2 KiB can double itself 33 times over. A reference to what is being followed counts
    once: how often that comes round, the record's depth decides.
    """

    def __init__(self, document: Any) -> None:
        self._document = document
        self._known: dict[str, int] = {}
        self._open: set[str] = set()
        try:
            self.size = self._of(document)
        except RecursionError:
            self.size = _MOST_EXPANDED + 1

    def _of(self, node: Any) -> int:
        if isinstance(node, list):
            return sum(map(self._of, node))
        if not isinstance(node, dict):
            return 0
        size = 1
        for name, value in node.items():
            if name == "$ref" and isinstance(value, str):
                size += self._referred(value)
            elif name not in _NO_SCHEMAS:
                size += self._of(value)
        return size

    def _referred(self, reference: str) -> int:
        if reference in self._open:
            return 1
        if reference not in self._known:
            self._open.add(reference)
            self._known[reference] = self._of(self._resolved(reference))
            self._open.discard(reference)
        return self._known[reference]

    def _resolved(self, reference: str) -> Any:
        """What a local pointer names; nothing for any other reference."""
        node = self._document if reference.startswith("#") else None
        for token in reference.split("/")[1:]:
            name = unquote(token).replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            else:
                node = node.get(name) if isinstance(node, dict) else None
        return node


def _refuse_to_fetch(uri: str) -> Any:
    raise ValueError(f"the schema refers to {uri[:100]}, and nothing is fetched")


def _bad(detail: str) -> Malformed:
    return Malformed("invalid_collection", detail, faults=(Fault("/schema", detail),))
