"""Projections: a record with some of its fields only."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock.records.document import encode
from penstock.records.field import field
from penstock.records.record import State, render

_DATA: Final = "data."
_MOST: Final = 100

_decode: Final = msgspec.json.Decoder().decode

_Tree = dict[str, Any]
"""By name what is chosen below it; None for all."""


class Projection:
    """Some fields of the data; id, version and times are always there."""

    def __init__(self, texts: list[str]) -> None:
        """Raises ValueError with a sentence.

        Args:
            texts: paths; the `data.` at their beginning may be left out.
        """
        if not 1 <= len(texts) <= _MOST:
            raise ValueError(f"It takes 1 to {_MOST} fields.")
        self._texts = tuple(texts)
        self._tree: _Tree = {}
        for text in texts:
            named = field(text if text.startswith(_DATA) else _DATA + text)
            *way, last = named.path
            node: _Tree | None = self._tree
            for name in way:
                node = None if node is None else node.setdefault(name, {})
            if node is not None:
                node[last] = None

    def __repr__(self) -> str:
        """What is kept for a question is found by this: two that differ never look the same."""
        return f"Projection({self._texts!r})"

    def render(self, state: State) -> bytes:
        """The canonical JSON of the record with these fields, in the order in which it has them."""
        assert isinstance(state.data, bytes)
        chosen = _chosen(_decode(state.data), self._tree)
        return render(msgspec.structs.replace(state, data=encode(chosen)))


def _chosen(value: Any, tree: _Tree | None) -> Any:
    """What of a value the tree names; elements of arrays are looked into one by one."""
    if tree is None:
        return value
    if isinstance(value, list):
        return [_chosen(one, tree) for one in value if isinstance(one, dict)]
    return {
        name: _chosen(item, tree[name])
        for name, item in value.items()
        if name in tree and (tree[name] is None or isinstance(item, dict | list))
    }
