"""The page of the metrics, made from their table: `python -m penstock.telemetry.document PATH`.

With `--check`, says whether the file at PATH is what would be written, and changes nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from penstock.telemetry.metrics import PROCESS, Metrics
from penstock.telemetry.series import AnyFamily, Histograms

_HEAD: Final = """\
# Metrics

`GET /metrics` of every process, without a key, as text or OpenMetrics. A histogram's samples end in
`_bucket` (with `le`), `_sum` and `_count`.

This is all there is: the set is closed. No label has a value of a user's making: no tenant,
collection, id, path, or value of a filter. [How to read them](telemetry.md), with logs and traces.

This page is made from `src/penstock/telemetry/metrics.py` by `make docs`; `make check` fails where
it is out of date.

| metric | kind | labels | meaning |
|---|---|---|---|
"""

_FOOT: Final = """
## Of the process

Where there is a `/proc`, by Prometheus's own client:

| metric | meaning |
|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    metrics = list(Metrics("", ""))
    rows = "".join(map(_row, metrics))
    bounds: dict[tuple[float, ...], list[str]] = {}
    for one in metrics:
        if isinstance(one, Histograms):
            bounds.setdefault(one.bounds, []).append(f"`{one.name}`")
    buckets = "".join(
        f"\nBuckets up to {', '.join(f'{bound:g}' for bound in bound_list)}: {', '.join(names)}.\n"
        for bound_list, names in bounds.items()
    )
    process = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in PROCESS.items())
    return _HEAD + rows + buckets + _FOOT + process


def _row(one: AnyFamily) -> str:
    name = f"{one.name}_total" if one.kind == "counter" else one.name
    labels = ", ".join(f"`{label}`" for label in one.labels)
    return f"| `{name}` | {one.kind} | {labels} | {one.description} |\n"


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    path = Path(next(one for one in arguments if not one.startswith("--")))
    text = page()
    if not check:
        path.write_text(text)
        return 0
    if path.read_text() == text:
        return 0
    sys.stderr.write(f"{path} is out of date: run `make docs`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
