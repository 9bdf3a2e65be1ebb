"""Which collections a scope covers."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.access.principal import Principal
from penstock.records.scope import Rate, Scope, Verb, scope_of


@given(
    pattern=st.text(alphabet="ab-*", max_size=7),
    name=st.text(alphabet="ab-", min_size=1, max_size=9),
)
def test_a_pattern_covers_what_a_shell_pattern_of_stars_does(pattern: str, name: str) -> None:
    scope = Scope(pattern, (Verb.READ,))
    assert scope.covers(Verb.READ, name) == fnmatchcase(name, pattern)


def test_no_verb_includes_another() -> None:
    scope = Scope("orders-*", (Verb.ADMIN,))
    assert scope.covers(Verb.ADMIN, "orders-eu")
    assert not scope.covers(Verb.READ, "orders-eu")
    assert not scope.covers(Verb.WRITE, "orders-eu")


def test_a_scope_is_a_word_too() -> None:
    assert scope_of("read:orders-*") == Scope("orders-*", (Verb.READ,))
    assert scope_of("write,read,write:*") == Scope("*", (Verb.WRITE, Verb.READ))


@pytest.mark.parametrize(
    "word", ["", "read", "read:", ":a", "own:a", "read,:a", "read:A", "read:a:b"]
)
def test_what_is_no_scope_is_told(word: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        scope_of(word)


@given(
    own=st.text(alphabet="ab*", min_size=1, max_size=5),
    asked=st.text(alphabet="ab*", min_size=1, max_size=5),
    filling=st.lists(st.text(alphabet="abc", max_size=3), min_size=5, max_size=5),
)
def test_who_may_grant_a_pattern_may_reach_all_that_it_stands_for(
    own: str, asked: str, filling: list[str]
) -> None:
    principal = Principal("t", "k", (Scope(own, (Verb.READ,)),))
    if principal.may_grant([Scope(asked, (Verb.READ,))], None):
        name = asked
        for text in filling:
            name = name.replace("*", text, 1)
        assert principal.may(Verb.READ, name)
        assert not principal.may_grant([Scope(asked, (Verb.WRITE,))], None)


def test_what_is_limited_grants_no_more() -> None:
    principal = Principal("t", "k", (Scope("*", (Verb.READ,)),), Rate(10, None))
    for rate, granted in (
        (None, False),
        (Rate(None, 5), False),
        (Rate(10.1), False),
        (Rate(10), True),
        (Rate(1, 10**9), True),
    ):
        assert principal.may_grant([], rate) is granted
