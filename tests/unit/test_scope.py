"""Which collections a scope covers."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from penstock.records.scope import Scope, Verb


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
