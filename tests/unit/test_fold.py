"""The fold against states worked out by hand, and its laws on entries made at random."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from penstock.apply.fold import Folded, Limits, fold, fold_new, is_plain
from penstock.records.collection import Rules, Settings, TimeToLive
from penstock.records.operation import (
    CLIENT_RETENTION_MS,
    OWN_RETENTION_MS,
    Entry,
    Kind,
    Operation,
)
from penstock.records.outcome import Outcome, Result
from penstock.records.position import Position, position
from penstock.records.record import Mark, State

LIMITS = Limits(record_bytes=200, keep_ms=1000)
FREE = Rules(Settings())
NUMBERS = Rules(Settings(schema={"properties": {"n": {"type": "integer"}}}))
DAY = Rules(Settings(ttl=TimeToLive(after="1d")))
BY_FIELD = Rules(Settings(ttl=TimeToLive(after="1s", field="data.until")))


def at(offset: int) -> Position:
    return position(1, 0, offset)


def entry(
    offset: int, kind: Kind, data: Any = None, *, time: int = 0, op: str = "", **more: Any
) -> Entry:
    body = b"" if data is None else json.dumps(data, separators=(",", ":")).encode()
    operation = Operation(
        int(kind), "t", "c", "r", op or f"p{offset}", body, more.pop("revision", 1), **more
    )
    return Entry(at(offset), time or 1000 * offset, operation)


def folded(*entries: Entry, before: State | None = None, rules: Rules = FREE) -> Folded:
    return fold(before, entries, lambda _: rules, {}, LIMITS)


def state(*entries: Entry, before: State | None = None, rules: Rules = FREE) -> State:
    result = folded(*entries, before=before, rules=rules).state
    assert result is not None
    return result


def codes(result: Folded) -> list[tuple[Position, str, str | None]]:
    return [(one.position, str(one.result), one.code) for one in result.outcomes]


def test_a_create_makes_a_record_at_its_own_position_and_time() -> None:
    made = state(entry(3, Kind.CREATE, {"a": 1}))
    assert made == State(
        "r", at(3), at(3), 3000, 3000, b'{"a":1}', marks=(Mark("p3", at(3), 3000, "c"),)
    )


def test_a_put_replaces_and_keeps_the_time_of_creation() -> None:
    made = state(entry(1, Kind.PUT, {"a": 1}), entry(2, Kind.PUT, {"b": 2}))
    assert (made.data, made.created_at, made.updated_at) == (b'{"b":2}', 1000, 2000)
    assert (made.version, made.fence) == (at(2), at(2))


def test_a_patch_merges_into_what_earlier_entries_of_the_batch_made() -> None:
    made = state(
        entry(1, Kind.PUT, {"a": {"x": 1, "y": 2}}), entry(2, Kind.PATCH, {"a": {"x": None}})
    )
    assert made.data == b'{"a":{"y":2}}'


def test_entries_at_or_below_the_fence_have_been_folded_before() -> None:
    before = state(entry(5, Kind.PUT, {"a": 1}))
    assert folded(entry(4, Kind.PUT, {"a": 2}), entry(5, Kind.PUT, {}), before=before).state is None


def test_a_repeated_operation_moves_the_fence_and_nothing_else() -> None:
    before = state(entry(1, Kind.PUT, {"a": 1}, op="k1"))
    result = folded(entry(2, Kind.PUT, {"a": 1}, op="k1"), before=before)
    assert result.state is not None
    assert (result.state.fence, result.state.version) == (at(2), at(1))
    assert result.state.data is msgspec.UNSET
    (outcome,) = result.outcomes
    assert (outcome.result, outcome.first, outcome.effect) == (Result.DUPLICATE, at(1), "c")


def test_a_repetition_within_one_batch_is_one_too() -> None:
    result = folded(entry(1, Kind.PATCH, {"n": 1}, op="k1"), entry(2, Kind.PATCH, {}, op="k1"))
    assert codes(result) == [
        (at(1), "rejected", "record_not_found"),
        (at(2), "duplicate", None),
    ]
    assert result.outcomes[1].effect == "r"


def test_a_key_is_forgotten_after_its_retention() -> None:
    before = state(entry(1, Kind.PUT, {"a": 1}, op="k1"))
    late = entry(2, Kind.PUT, {"a": 2}, op="k1", time=1000 + CLIENT_RETENTION_MS + 1)
    assert state(late, before=before).data == b'{"a":2}'
    in_time = entry(2, Kind.PUT, {"a": 2}, op="k1", time=1000 + CLIENT_RETENTION_MS)
    assert state(in_time, before=before).version == at(1)


def test_our_own_ids_are_forgotten_sooner() -> None:
    before = state(entry(1, Kind.PUT, {"a": 1}, op="p1"))
    late = entry(2, Kind.PUT, {"a": 2}, op="p1", time=1000 + OWN_RETENTION_MS + 1)
    assert state(late, before=before).version == at(2)


def test_a_create_is_rejected_on_a_record_and_on_a_tombstone() -> None:
    result = folded(
        entry(1, Kind.PUT, {}),
        entry(2, Kind.CREATE, {"a": 1}),
        entry(3, Kind.DELETE),
        entry(4, Kind.CREATE, {"a": 2}),
    )
    assert codes(result) == [
        (at(2), "rejected", "record_exists"),
        (at(4), "rejected", "record_exists"),
    ]
    assert result.state is not None
    assert (result.state.data, result.state.version, result.state.fence) == (None, at(3), at(4))


def test_a_put_brings_a_deleted_record_back_as_a_new_one() -> None:
    made = state(entry(1, Kind.PUT, {"a": 1}), entry(2, Kind.DELETE), entry(3, Kind.PUT, {"b": 1}))
    assert (made.data, made.created_at, made.gc_at) == (b'{"b":1}', 3000, None)
    assert made.marks[-1].effect == "c"


def test_if_match_holds_for_the_version_named_and_for_any_with_a_star() -> None:
    before = state(entry(1, Kind.PUT, {"a": 1}))
    right = folded(entry(2, Kind.PUT, {"a": 2}, if_match=at(1)), before=before)
    wrong = folded(entry(2, Kind.PUT, {"a": 2}, if_match=at(9)), before=before)
    star = folded(entry(2, Kind.DELETE, if_match="*"), before=before)
    missing = folded(entry(2, Kind.PUT, {"a": 2}, if_match="*"))
    assert [codes(one) for one in (right, star)] == [[], []]
    assert codes(wrong) == codes(missing) == [(at(2), "rejected", "precondition_failed")]


def test_if_absent_refuses_what_exists() -> None:
    before = state(entry(1, Kind.PUT, {"a": 1}))
    result = folded(entry(2, Kind.PUT, {"a": 2}, if_absent=True), before=before)
    assert codes(result) == [(at(2), "rejected", "precondition_failed")]
    assert state(entry(2, Kind.PUT, {"a": 2}, if_absent=True)).version == at(2)


def test_a_patch_that_breaks_the_schema_is_rejected_with_pointers() -> None:
    before = state(entry(1, Kind.PUT, {"n": 1}))
    result = folded(entry(2, Kind.PATCH, {"n": "x"}), before=before, rules=NUMBERS)
    assert codes(result) == [(at(2), "rejected", "schema_violation")]
    assert [fault.pointer for fault in result.outcomes[0].faults] == ["/n"]
    assert result.state is not None
    assert result.state.version == at(1)


def test_a_patch_that_makes_the_record_too_large_is_rejected() -> None:
    before = state(entry(1, Kind.PUT, {"n": 1}))
    result = folded(entry(2, Kind.PATCH, {"s": "x" * 200}), before=before)
    assert codes(result) == [(at(2), "rejected", "record_too_large")]


def test_a_delete_leaves_a_tombstone_that_outlives_the_log() -> None:
    made = state(entry(1, Kind.PUT, {"a": 1}), entry(2, Kind.DELETE))
    assert (made.data, made.version, made.gc_at) == (None, at(2), 2000 + LIMITS.keep_ms)


def test_a_delete_of_nothing_changes_nothing_but_is_remembered() -> None:
    made = state(entry(2, Kind.DELETE))
    assert (made.version, made.fence, made.data) == ("", at(2), None)
    assert made.gc_at == 2000 + LIMITS.keep_ms


def test_an_expired_record_is_no_longer_there_for_a_patch() -> None:
    before = state(entry(1, Kind.PUT, {"a": 1}), rules=DAY)
    assert (before.expires_at, before.gc_at) == (86_401_000, 86_402_000)
    late = entry(2, Kind.PATCH, {"a": 2}, time=86_401_000)
    early = entry(2, Kind.PATCH, {"a": 2}, time=86_400_999)
    assert codes(folded(late, before=before, rules=DAY)) == [
        (at(2), "rejected", "record_not_found")
    ]
    assert state(early, before=before, rules=DAY).expires_at == 86_400_999 + 86_400_000


def test_expiry_by_a_field_follows_the_field() -> None:
    made = state(entry(1, Kind.PUT, {"until": "1970-01-01T00:01:00Z"}), rules=BY_FIELD)
    assert made.expires_at == 61_000
    patched = state(entry(2, Kind.PATCH, {"until": 100}), before=made, rules=BY_FIELD)
    assert patched.expires_at == 101_000
    never = state(entry(3, Kind.PATCH, {"until": None}), before=patched, rules=BY_FIELD)
    assert never.expires_at is None


def test_updated_at_never_goes_back() -> None:
    made = state(entry(1, Kind.PUT, {"a": 1}, time=9000), entry(2, Kind.PUT, {"a": 2}, time=8000))
    assert made.updated_at == 9000


def test_the_oldest_of_many_marks_go_to_the_side_while_they_count() -> None:
    entries = [entry(n, Kind.PUT, {"n": n}, op=f"k{n}", time=n) for n in range(1, 41)]
    result = folded(*entries)
    assert result.state is not None
    assert [mark.operation_id for mark in result.state.marks] == [f"k{n}" for n in range(9, 41)]
    assert [mark.operation_id for _, mark, _ in result.spilled] == [f"k{n}" for n in range(1, 9)]
    assert result.state.spilled
    assert result.spilled[0][2] == 1 + CLIENT_RETENTION_MS


def test_a_spilled_mark_still_makes_a_duplicate() -> None:
    before = state(entry(50, Kind.PUT, {"a": 1}))
    known = {"k1": Mark("k1", at(1), 1000, "u")}
    result = fold(before, [entry(51, Kind.PUT, {"a": 2}, op="k1")], lambda _: FREE, known, LIMITS)
    assert codes(result) == [(at(51), "duplicate", None)]


def test_each_entry_is_judged_by_the_rules_it_was_accepted_under() -> None:
    before = state(entry(1, Kind.PUT, {"n": 1}))
    rules = {1: FREE, 2: NUMBERS}
    entries = [
        entry(2, Kind.PATCH, {"n": "a"}, revision=1),
        entry(3, Kind.PATCH, {"n": "b"}, revision=2),
    ]
    result = fold(before, entries, rules.__getitem__, {}, LIMITS)
    assert codes(result) == [(at(3), "rejected", "schema_violation")]
    assert result.state is not None
    assert result.state.data == b'{"n":"a"}'


DATA = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3), max_size=2)


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    entries = []
    for offset in range(1, draw(st.integers(1, 8)) + 1):
        kind = draw(st.sampled_from(list(Kind)))
        data = None if kind is Kind.DELETE else draw(DATA)
        op = f"k{draw(st.integers(0, 5))}"
        match = draw(st.none() | st.just("*") | st.integers(1, 8).map(at))
        absent = kind is Kind.PUT and draw(st.booleans())
        entries.append(entry(offset, kind, data, op=op, if_match=match, if_absent=absent))
    return entries


def after(before: State | None, result: Folded) -> State | None:
    """The state as a store holds it: what is UNSET stays as it was."""
    if result.state is None:
        return before
    if result.state.data is msgspec.UNSET:
        assert before is not None
        return msgspec.structs.replace(result.state, data=before.data)
    return result.state


@given(histories(), st.lists(st.integers(1, 3), min_size=8, max_size=8))
def test_how_entries_fall_into_batches_makes_no_difference(
    entries: list[Entry], sizes: list[int]
) -> None:
    whole = folded(*entries)
    stored: State | None = None
    outcomes: list[Outcome] = []
    start = 0
    for size in sizes:
        part = entries[start : start + size]
        start += size
        if part:
            result = folded(*part, before=stored)
            outcomes.extend(result.outcomes)
            stored = after(stored, result)
    assert stored == whole.state
    assert outcomes == list(whole.outcomes)


@given(histories(), st.integers(0, 8), st.integers(0, 8))
def test_folding_entries_again_changes_nothing(entries: list[Entry], low: int, high: int) -> None:
    stored = after(None, folded(*entries))
    again = entries[min(low, high) : max(low, high)]
    if again:
        assert folded(*again, before=stored) == Folded(None, (), ())


@given(st.sampled_from([Kind.CREATE, Kind.PUT]), st.booleans(), DATA)
def test_the_short_way_for_new_records_is_the_long_way(
    kind: Kind, absent: bool, data: dict[str, Any]
) -> None:
    for rules in (FREE, DAY, BY_FIELD):
        one = entry(7, kind, data | {"until": 5}, if_absent=absent)
        assert is_plain(one.operation)
        assert fold_new(one, rules, LIMITS) == state(one, rules=rules)


def test_a_patch_makes_no_record_that_a_put_could_not_write() -> None:
    limits = Limits(record_bytes=1_000_000, keep_ms=1000)
    half = {f"a{n}": n for n in range(6_000)}
    other = {f"b{n}": n for n in range(6_000)}
    entries = [
        entry(0, Kind.PUT, half),
        entry(1, Kind.PATCH, other),
        entry(2, Kind.PATCH, {"b": 1}),
    ]
    result = fold(None, entries, lambda _: FREE, {}, limits)
    assert codes(result) == [(at(1), "rejected", "record_too_large")]
    assert result.state is not None
    assert isinstance(result.state.data, bytes)
    assert json.loads(result.state.data) == half | {"b": 1}
