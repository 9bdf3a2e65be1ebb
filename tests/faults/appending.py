"""A process that appends to a log and says what it was told: `python -m tests.faults.appending`.

It prints a line per answer, `given <position> <data>` or `refused <code> <data>`, and ends when it
is killed, or when the log has refused some and, once there is room again, taken some.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from penstock.adapters.embedded.clock import SystemClock
from penstock.adapters.embedded.entropy import SystemEntropy
from penstock.adapters.embedded.log import EmbeddedLog
from penstock.errors import PenstockError
from penstock.records.operation import Kind, Operation
from penstock.telemetry.logs import configure

_WRITERS: Final = 8
_DEADLINE_S: Final = 20
_REFUSALS: Final = 3
_BALLAST_BYTES: Final = 2 * 1024 * 1024


async def append(log: EmbeddedLog, name: str, size: int) -> bool:
    """Append a few of them under a name, say what became of it; whether all were taken."""
    data = [f"{name}.{number}" for number in range(3)]
    operations = [
        Operation(int(Kind.PUT), "t", "c", name, f"p{one}", one.encode().ljust(size))
        for one in data
    ]
    answers = await log.append(operations, time.monotonic() + _DEADLINE_S)
    for one, answer in zip(data, answers, strict=True):
        if isinstance(answer, PenstockError):
            text = f"refused {answer.code} {one}\n"
        else:
            text = f"given {answer} {one}\n"
        # One call a line: a kill leaves no half of one.
        os.write(1, text.encode())
    return not any(isinstance(answer, PenstockError) for answer in answers)


async def append_until_killed(path: Path) -> None:
    log = EmbeddedLog(path, SystemClock(), SystemEntropy())

    async def write(writer: int) -> None:
        number = 0
        while await append(log, f"{os.getpid()}-{writer}-{number}", 300):
            number += 1

    await asyncio.gather(*[write(writer) for writer in range(_WRITERS)])


async def append_without_room(path: Path, make_room: Callable[[], None]) -> None:
    """Append until it is refused, then make room, and append some more."""
    log = EmbeddedLog(path, SystemClock(), SystemEntropy())
    refused = number = 0
    while refused < _REFUSALS:
        refused += not await append(log, f"before-{number}", 20_000)
        number += 1
    make_room()
    for number in range(5):
        assert await append(log, f"after-{number}", 20_000)
    await log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--ballast", action="store_true", help="room is made by a file that goes")
    parser.add_argument("--file-bytes", type=int, help="no file may be larger")
    chosen = parser.parse_args()
    configure("info")
    ballast = chosen.path.with_name("ballast")
    if chosen.ballast:
        ballast.write_bytes(bytes(_BALLAST_BYTES))
        asyncio.run(append_without_room(chosen.path, ballast.unlink))
    elif chosen.file_bytes:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (chosen.file_bytes, hard))
        lift = (hard, hard)
        asyncio.run(
            append_without_room(
                chosen.path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, lift)
            )
        )
    else:
        asyncio.run(append_until_killed(chosen.path))


if __name__ == "__main__":
    main()
