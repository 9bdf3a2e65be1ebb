"""A collection, its settings, and the rules that follow from them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from penstock.errors import Fault, Invalid, Malformed
from penstock.records.document import escape
from penstock.records.field import Field
from penstock.records.index import MOST_INDEXES, MOST_TEXT, Index, IndexSettings, index_of
from penstock.records.schema import MAX_SCHEMA_BYTES, Schema

_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(
    r"(?=[1-9])(?:([0-9]{1,9})(ms|s)|([0-9]{1,8})(m)|([0-9]{1,6})(h)|([0-9]{1,5})(d))"
)
"""Up to some centuries: a time that far from now is a date on every engine."""
_MAX_SECONDS: Final = 1e11
"""Some three thousand years: a larger number is more likely in ms than meant."""
_FIELD: Final = re.compile(r"created_at|updated_at|data(\.[^.\x00]+)+")


class TimeToLive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When records cease to exist: `after` (`30d`, `12h`, `90s`) counted from `field`.

    `field` is `updated_at`, `created_at` or `data.<path>`; the last holds an RFC 3339 date-time or
    a number of seconds since 1970. A record without that field never expires.
    """

    after: str
    field: str = "updated_at"


class CachePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long reads may be served from the cache, and whether writes go into it unasked.

    `lists` is for how long a page may be answered again to the same question; without it, never.
    """

    ttl: str = "30s"
    write_through: bool = False
    lists: str | msgspec.UnsetType = msgspec.UNSET


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a client puts as a collection. Each part is optional."""

    schema: Any = msgspec.UNSET
    ttl: TimeToLive | None = None
    cache: CachePolicy = CachePolicy()
    indexes: tuple[IndexSettings, ...] = ()


class Collection(msgspec.Struct, frozen=True):
    """A named set of records of a tenant.

    Attributes:
        id: internal, new at each creation: used in log keys, cache keys and physical names.
        revision: of the settings, from 1; each entry carries the one it was accepted under.
        dropped_at: ms since 1970 when it was dropped, until everything of it is gone.
    """

    id: str
    tenant: str
    name: str
    revision: int
    settings: Settings
    created_at: int
    updated_at: int
    dropped_at: int | None = None


def milliseconds(duration: str) -> int:
    """A duration such as `30s`, `12h` or `30d` in ms. Raises ValueError with a sentence."""
    found = _DURATION.fullmatch(duration)
    if not found:
        raise ValueError("A duration is a whole number from 1 and one of ms, s, m, h, d: '30d'.")
    number, unit = filter(None, found.groups())
    return int(number) * _UNITS[unit]


class Rules:
    """One revision of a collection's settings, ready to be applied to records.

    Raises `Malformed` (`invalid_collection`) at construction, with a pointer to the setting.
    """

    def __init__(self, settings: Settings) -> None:
        self._schema: Schema | None = None
        if settings.schema is not msgspec.UNSET:
            if len(msgspec.json.encode(settings.schema)) > MAX_SCHEMA_BYTES:
                raise _bad("/schema", f"A schema is at most {MAX_SCHEMA_BYTES} bytes.")
            self._schema = Schema(settings.schema)
        self.indexes = _indexes(settings.indexes)
        fields = {one.field for index in self.indexes for one in index.fields if one.field.path}
        self._indexed = sorted(fields)
        self._of_arrays = {one.fields[0].field for one in self.indexes if one.is_array}
        self._ttl_path: list[str] = []
        self._ttl_field = ""
        self._ttl_after = 0
        if settings.ttl is not None:
            self._time_to_live(settings.ttl)
        self.cache_ms = _duration("/cache/ttl", settings.cache.ttl)
        self.write_through = settings.cache.write_through
        lists = settings.cache.lists
        self.lists_ms = 0 if lists is msgspec.UNSET else _duration("/cache/lists", lists)

    @property
    def free(self) -> bool:
        """Whether any object will do as a record: no schema, no index, no field that is a time."""
        return self._schema is None and not self._ttl_path and not self._indexed

    @property
    def expiring(self) -> bool:
        return bool(self._ttl_field)

    @property
    def reads_data(self) -> bool:
        """Whether `expires_at` needs the decoded record."""
        return bool(self._ttl_path)

    def check(self, value: Any) -> None:
        """Raise `Invalid` (`schema_violation`) unless `value` may be a record here."""
        if self._schema is not None:
            self._schema.check(value)
        if self._ttl_path:
            self._field_time(value)
        faults = [
            fault
            for one in self._indexed
            if (fault := _misfit(one, value, may_be_array=one in self._of_arrays)) is not None
        ]
        if faults:
            raise Invalid("schema_violation", faults=tuple(faults))

    def expires_at(self, value: Any, created_at: int, updated_at: int) -> int | None:
        """When such a record expires, ms since 1970; None for never.

        Args:
            value: the decoded record; not looked at unless `reads_data`.
            created_at: of the record, ms since 1970.
            updated_at: likewise.
        """
        if not self._ttl_field:
            return None
        if self._ttl_path:
            base = self._field_time(value)
        else:
            base = created_at if self._ttl_field == "created_at" else updated_at
        return None if base is None else base + self._ttl_after

    def _time_to_live(self, ttl: TimeToLive) -> None:
        if not _FIELD.fullmatch(ttl.field):
            raise _bad("/ttl/field", "The field is updated_at, created_at or data.<path>.")
        self._ttl_after = _duration("/ttl/after", ttl.after)
        self._ttl_field = ttl.field
        self._ttl_path = ttl.field.split(".")[1:]

    def _field_time(self, value: Any) -> int | None:
        for name in self._ttl_path:
            if not isinstance(value, dict) or name not in value:
                return None
            value = value[name]
        moment = _moment(value)
        if moment is None:
            pointer = "".join(f"/{escape(name)}" for name in self._ttl_path)
            detail = "The time-to-live field must be an RFC 3339 date-time or seconds since 1970."
            raise Invalid("schema_violation", faults=(Fault(pointer, detail),))
        return moment


class Target(NamedTuple):
    """The collection that a request is about, with its rules."""

    tenant: str
    collection: Collection
    rules: Rules


def _indexes(settings: tuple[IndexSettings, ...]) -> tuple[Index, ...]:
    if len(settings) > MOST_INDEXES:
        raise _bad("/indexes", f"A collection has at most {MOST_INDEXES} indexes.")
    found: dict[str, Index] = {}
    for place, one in enumerate(settings):
        try:
            index = index_of(one)
        except ValueError as error:
            raise _bad(f"/indexes/{place}", str(error)) from None
        if index.name in found:
            raise _bad(f"/indexes/{place}", "The index is there twice.")
        found[index.name] = index
    return tuple(found.values())


def _misfit(field: Field, value: Any, *, may_be_array: bool) -> Fault | None:
    """What keeps a record out of an index of this field."""
    pointer = ""
    for place, name in enumerate(field.path):
        if not isinstance(value, dict) or name not in value:
            return None
        pointer += f"/{escape(name)}"
        value = value[name]
        if isinstance(value, list) and not may_be_array:
            return Fault(pointer, "An indexed field is no array, and is in none.")
        if isinstance(value, list) and place < len(field.path) - 1:
            return Fault(pointer, "An indexed field is in no array.")
    for one in value if isinstance(value, list) else (value,):
        if isinstance(one, dict | list):
            return Fault(pointer, "An indexed field is no object.")
        if isinstance(one, str) and len(one.encode()) > MOST_TEXT:
            return Fault(pointer, f"Indexed text has at most {MOST_TEXT} bytes.")
    return None


def _moment(value: Any) -> int | None:
    """A date-time or a number of seconds as ms since 1970; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value * 1000) if 0 <= value < _MAX_SECONDS else None
    if not isinstance(value, str):
        return None
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
    return None if moment.tzinfo is None else round(moment.timestamp() * 1000)


def _duration(pointer: str, text: str) -> int:
    try:
        return milliseconds(text)
    except ValueError as error:
        raise _bad(pointer, str(error)) from None


def _bad(pointer: str, detail: str) -> Malformed:
    return Malformed("invalid_collection", detail, faults=(Fault(pointer, detail),))
