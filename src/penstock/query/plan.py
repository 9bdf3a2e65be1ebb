"""How a query is answered: by which indexes, in which order, or only by a scan of everything.

A filter is taken apart into branches of which one must hold, each a list of what must hold
together. Without a sort, one index for each branch will do, one after the other; with a sort, one
index must give the order, and where its first fields may equal several values, as many streams are
merged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final, NamedTuple

import msgspec

from penstock.query.bounds import Branch, Stream, Use, conjunction, streams, use_of
from penstock.records.field import ID, Field
from penstock.records.filter import All, Comparison, Either, Filter, Not, Operator
from penstock.records.index import BY_ID, Index, IndexSettings, Ordered, Range

_MOST_BRANCHES: Final = 20
_MOST_SUGGESTED: Final = 4

Sort = tuple[Ordered, ...]


class Plan(NamedTuple):
    """How to find what a query asks for.

    Attributes:
        streams: where it is.
        reverse: whether each stream is read backwards.
        merged: whether they are merged by what follows their prefixes; else one comes after the
            other.
        sorted_here: an order that no index has: everything is read first.
        is_served: whether indexes bound the work; else it grows with the collection.
    """

    streams: tuple[Stream, ...]
    reverse: bool = False
    merged: bool = False
    sorted_here: Sort = ()
    is_served: bool = True

    def digest(self, filter_: Filter | None, sort: Sort) -> bytes:
        """Tells whether a page token was made for this query, answered in this way."""
        names = [one.index.name for one in self.streams]
        text = repr((filter_, sort, names, self.reverse, self.merged, self.sorted_here))
        return hashlib.blake2b(text.encode(), digest_size=8).digest()


def plan(filter_: Filter | None, sort: Sort, indexes: Iterable[Index]) -> Plan:
    """The best plan with these indexes, all ready."""
    candidates = [BY_ID, *indexes]
    found = branches(filter_)
    served = _in_order(found, sort, candidates) if sort else _one_by_one(found, candidates)
    if served is not None:
        return served
    whole = Stream(BY_ID, (), (Range(),), filter_)
    if not sort:
        return Plan((whole,), is_served=filter_ is None)
    for index in candidates:
        reverse = _reading(index, sort, 0, frozenset())
        if reverse is not None:
            return Plan(
                (msgspec.structs.replace(whole, index=index),), reverse, is_served=filter_ is None
            )
    return Plan((whole,), sorted_here=(*sort, Ordered(ID)), is_served=False)


def suggestion(filter_: Filter | None, sort: Sort) -> list[IndexSettings]:
    """Indexes that would serve a query, one for each of its branches; none where none would."""
    wanted = []
    for branch in branches(filter_):
        equal = _fields(branch, (Operator.EQ, Operator.IN))
        ranged = _fields(
            branch, (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE, Operator.PREFIX)
        )
        rest = [one for one in sort if one.field not in equal and one.field != ID]
        fields = [one.text for one in equal] + [one.text for one in rest]
        named = {*equal, *(one.field for one in rest)}
        if not rest:
            fields += [one.text for one in ranged if one not in named][:1]
        if not fields:
            return []
        wanted.append(IndexSettings(tuple(fields[:_MOST_SUGGESTED])))
    return list(dict.fromkeys(wanted))


def branches(filter_: Filter | None) -> list[Branch]:
    """The alternatives of a filter; where they are too many, the filter itself is the only one."""
    found = _branches(filter_)
    if len(found) <= _MOST_BRANCHES:
        return found
    assert filter_ is not None
    return [(filter_,)]


def _branches(filter_: Filter | None) -> list[Branch]:
    match filter_:
        case None:
            return [()]
        case All(parts):
            found: list[Branch] = [()]
            for part in parts:
                alternatives = branches(part)
                found = [(*one, *more) for one, more in product(found, alternatives)]
                if len(found) > _MOST_BRANCHES:
                    return [tuple(parts)]
            return found
        case Either(parts):
            return [one for part in parts for one in branches(part)]
        case _:
            return [(filter_,)]


def _one_by_one(found: Sequence[Branch], indexes: Sequence[Index]) -> Plan | None:
    """Each branch by the index that bounds it best."""
    chosen: list[Stream] = []
    earlier: list[Filter] = []
    for branch in found:
        best: tuple[int, list[Stream]] | None = None
        for index in indexes:
            use = use_of(index, branch, len(index.order))
            made = _served(index, branch, use)
            # The record itself is nearer than any index.
            score = use.score + 100 * (index is BY_ID)
            if made is not None and (best is None or score > best[0]):
                best = score, made
        if best is None:
            return None
        # What an earlier branch has found does not come again.
        chosen += [_without(one, earlier) for one in _joined(best[1])]
        earlier.append(conjunction(branch) or All(()))
    return Plan(tuple(chosen))


def _served(index: Index, branch: Branch, use: Use) -> list[Stream] | None:
    return streams(index, branch, use) if use.score else None


def _joined(found: list[Stream]) -> list[Stream]:
    """Streams of one index, one after the other, as one; those of arrays stay apart."""
    if not found or found[0].index.is_array:
        return found
    first = found[0]
    return [msgspec.structs.replace(first, prefix=(), ranges=tuple(one.ranges[0] for one in found))]


def _without(stream: Stream, earlier: Sequence[Filter]) -> Stream:
    rest = [] if stream.rest is None else [stream.rest]
    return msgspec.structs.replace(stream, rest=conjunction([*rest, *map(Not, earlier)]))


def _in_order(found: Sequence[Branch], sort: Sort, indexes: Sequence[Index]) -> Plan | None:
    """All branches by one index, which gives the order."""
    best: tuple[int, Plan] | None = None
    fewest = min(map(len, found))
    for index in indexes:
        # A filter is a point of one field at most.
        for points in range(min(len(index.order), fewest), -1, -1):
            made = _by(index, points, found, sort)
            if made is not None and (best is None or made[0] > best[0]):
                best = made
    return None if best is None else best[1]


def _by(index: Index, points: int, found: Sequence[Branch], sort: Sort) -> tuple[int, Plan] | None:
    """A plan with so many points in each branch, and how well it bounds the worst of them."""
    uses = [use_of(index, branch, points) for branch in found]
    if any(
        len(use.points) != points or (branch and not use.score)
        for use, branch in zip(uses, found, strict=True)
    ):
        return None
    reverse = _reading(index, sort, points, _fixed(index, uses))
    if reverse is None:
        return None
    chosen: list[Stream] = []
    for use, branch in zip(uses, found, strict=True):
        made = streams(index, branch, use)
        if made is None:
            return None
        chosen += made
    score = min(use.score for use in uses)
    return score, Plan(tuple(chosen), reverse, merged=len(chosen) > 1)


def _fixed(index: Index, uses: Sequence[Use]) -> frozenset[Field]:
    """The fields that have one and the same value in all streams."""
    fixed = set()
    for one, *points in zip(index.order, *(use.points for use in uses), strict=False):
        # To Python 1 is True.
        values = {(isinstance(value, bool), value) for some in points for value in some}
        if len(values) == 1:
            fixed.add(one.field)
    return frozenset(fixed)


def _reading(index: Index, sort: Sort, points: int, fixed: frozenset[Field]) -> bool | None:
    """Whether an index gives the order backwards; None where it does not give it at all."""
    wanted = [one for one in sort if one.field not in fixed]
    if not wanted:
        return False
    here = index.order[points : points + len(wanted)]
    if index.is_array and points == 0:
        return None
    if [one.field for one in here] != [one.field for one in wanted]:
        return None
    turned = {
        one.descending is not other.descending for one, other in zip(here, wanted, strict=True)
    }
    return turned.pop() if len(turned) == 1 else None


def _fields(branch: Branch, operators: Sequence[Operator]) -> list[Field]:
    found = [
        one.field for one in branch if isinstance(one, Comparison) and one.operator in operators
    ]
    return [one for one in dict.fromkeys(found) if one != ID]
