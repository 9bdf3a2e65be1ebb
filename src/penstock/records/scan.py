"""What a store is asked for: parts of an index, in its order, and what else must hold."""

from __future__ import annotations

import msgspec

from penstock.records.filter import Filter
from penstock.records.index import BY_ID, Index, Range


class Scan(msgspec.Struct, frozen=True):
    """Records of a collection, through one index.

    Attributes:
        index: which; it must be ready.
        ranges: of its keys, one after the other in its order, without a key in common.
        reverse: from the last range's end to the first one's beginning.
        filter: what must hold beside; None for nothing.
    """

    index: Index = BY_ID
    ranges: tuple[Range, ...] = (Range(),)
    reverse: bool = False
    filter: Filter | None = None
