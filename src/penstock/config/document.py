"""The page of the configuration, made from the model: `python -m penstock.config.document PATH`.

With `--check`, says whether the file at PATH is what would be written, and changes nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from penstock.config.settings import Configuration

_HEAD: Final = """\
# Configuration

Every setting is an environment variable. `penstock serve` takes `--host`, `--port` and `--data` as
options too; an option wins. A value that cannot be used stops the start with a sentence that names
it. Durations are in milliseconds, sizes in bytes.

This page is made from `src/penstock/config/settings.py` by `make docs`; `make check` fails where it
is out of date.

| variable | default | meaning |
|---|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    return _HEAD + "".join(
        f"| `PENSTOCK_{name.upper()}` | {_default(field)} | {field.description} |\n"
        for name, field in Configuration.model_fields.items()
    )


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value in (None, ()) or isinstance(value, SecretStr):
        return "none"
    return f"`{value}`"


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
