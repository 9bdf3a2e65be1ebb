"""The rules that follow from a collection's settings."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.errors import Fault, Invalid, Malformed
from penstock.records.collection import CachePolicy, Rules, Settings, TimeToLive, milliseconds

JAN_1 = 1_767_225_600_000  # 2026-01-01T00:00:00Z, by `date -ud 2026-01-01 +%s`


@pytest.mark.parametrize(
    ("text", "length"),
    [("1ms", 1), ("90s", 90_000), ("15m", 900_000), ("12h", 43_200_000), ("30d", 2_592_000_000)],
)
def test_durations(text: str, length: int) -> None:
    assert milliseconds(text) == length


@pytest.mark.parametrize("text", ["", "0s", "1", "s", "1.5h", "-1d", "1w", " 1d", "999999999d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        milliseconds(text)


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        (Settings(schema={"type": "nonsense"}), "/schema"),
        (Settings(schema=[]), "/schema"),
        (Settings(schema={"$ref": "https://example.org/schema"}), "/schema"),
        (Settings(schema={"enum": ["x" * 70_000]}), "/schema"),
        (Settings(ttl=TimeToLive(after="soon")), "/ttl/after"),
        (Settings(ttl=TimeToLive(after="1d", field="site")), "/ttl/field"),
        (Settings(ttl=TimeToLive(after="1d", field="data.")), "/ttl/field"),
        (Settings(cache=CachePolicy(ttl="0s")), "/cache/ttl"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_pointer(
    settings: Settings, pointer: str
) -> None:
    with pytest.raises(Malformed) as caught:
        Rules(settings)
    assert caught.value.code == "invalid_collection"
    assert [fault.pointer for fault in caught.value.faults] == [pointer]


def test_each_break_of_the_schema_has_its_pointer() -> None:
    rules = Rules(
        Settings(
            schema={
                "type": "object",
                "required": ["site"],
                "properties": {"a/b": {"items": {"type": "integer"}}, "n": {"minimum": 3}},
            }
        )
    )
    rules.check({"site": "x", "a/b": [1], "n": 3})
    with pytest.raises(Invalid) as caught:
        rules.check({"a/b": [1, "x"], "n": 2})
    assert {fault.pointer for fault in caught.value.faults} == {"", "/a~1b/1", "/n"}


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-01-01T00:00:00Z", JAN_1),
        ("2026-01-01T01:00:00.250+01:00", JAN_1 + 250),
        (JAN_1 // 1000, JAN_1),
        (JAN_1 / 1000 + 0.5, JAN_1 + 500),
    ],
)
def test_a_time_to_live_by_field_reads_times_and_seconds(value: Any, moment: int) -> None:
    rules = Rules(Settings(ttl=TimeToLive(after="1s", field="data.a.until")))
    assert rules.expires_at({"a": {"until": value}}, 0, 0) == moment + 1000


@pytest.mark.parametrize("value", ["soon", "2026-01-01", "2026-01-01T00:00:00", True, None, -1, {}])
def test_a_field_that_is_no_time_is_refused(value: Any) -> None:
    rules = Rules(Settings(ttl=TimeToLive(after="1s", field="data.until")))
    with pytest.raises(Invalid) as caught:
        rules.check({"until": value})
    detail = "The time-to-live field must be an RFC 3339 date-time or seconds since 1970."
    assert caught.value.faults == (Fault("/until", detail),)


def test_a_record_without_the_field_never_expires() -> None:
    rules = Rules(Settings(ttl=TimeToLive(after="1s", field="data.a.until")))
    values: list[dict[str, Any]] = [{}, {"a": 1}, {"a": {}}]
    assert [rules.expires_at(value, 0, 0) for value in values] == [None] * 3


def test_expiry_counts_from_creation_or_from_the_last_change() -> None:
    by_creation = Rules(Settings(ttl=TimeToLive(after="1s", field="created_at")))
    by_change = Rules(Settings(ttl=TimeToLive(after="1s")))
    assert by_creation.expires_at(None, 10, 500) == 1010
    assert by_change.expires_at(None, 10, 500) == 1500
    assert Rules(Settings()).expires_at(None, 10, 500) is None
