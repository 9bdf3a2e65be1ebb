"""Where the processor time of a request goes: `python -m bench.profiles`; needs py-spy.

The same process under the same closed loops as in `bench.side_by_side`. Each sample of the event
loop's thread counts for the innermost of its frames that a part claims; what none does is the event
loop itself and the kernel. What other threads take is told by the kernel. Prints a table.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from bench.ground import Ground, prepared
from bench.records import READ
from bench.side_by_side import fill
from bench.sides import READS
from bench.workloads import Figure, Numbers, Workloads

_SECONDS: Final = 8.0
_WARM_S: Final = 3.0
_RATE: Final = 250
_PARTS: Final = {
    "MongoDB's driver": r"(pymongo|bson)/",
    "Redis's driver, and ours on it": r"(redis|hiredis|penstock/adapters/redis)/",
    "librdkafka's binding, and ours on it": r"(confluent_kafka|penstock/adapters/kafka)/",
    "HTTP: connections, requests, answers": r"penstock/api/(connection|incoming|framing|exchange|"
    r"head|gate|line|holding|request|response|sending|body|short|router|answer_headers)\.py",
    "who, how much, how long, and metrics": r"penstock/(access|telemetry|adapters/observed)/|"
    r"penstock/api/(app|quota|deadline|observed)\.py",
    "reading: plan, states, records as JSON": r"penstock/(query|records|adapters/mongodb)/",
    "writing: check, compile, receipts": r"penstock/ingest/",
    "the handlers": r"penstock/api/",
    "asyncio's own Python": r"asyncio/",
}
_ELSEWHERE: Final = "event loop and kernel"
_OTHERS: Final = "other threads: librdkafka, and its reports"
_MAIN: Final = "uvloop/__init__.py"


def part_of(stack: str) -> str:
    for frame in reversed(stack.split(";")):
        for name, pattern in _PARTS.items():
            if re.search(pattern, frame) and not frame.startswith("Runner.run"):
                return name
        if _MAIN in frame:
            break
    return _ELSEWHERE


def shares(recorded: Path) -> dict[str, float]:
    """Of the event loop's thread, by part; they make 1."""
    counted: Counter[str] = Counter()
    for line in recorded.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        if _MAIN in stack:
            counted[part_of(stack)] += int(count)
    return {name: count / counted.total() for name, count in counted.items()}


def ticks(pid: int) -> dict[int, int]:
    """Processor time of each thread, by its id."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[int(task.name)] = int(fields[11]) + int(fields[12])
    return found


class Profile(NamedTuple):
    """Microseconds of an operation, in all; and of them by part, which make 1."""

    cost_us: float
    parts: dict[str, float]


def profiled(spy: str, ground: Ground, name: str, work: Callable[[float], Figure]) -> Profile:
    pid = ground.penstock.child.pid
    work(_WARM_S)
    # Not while it is watched, which costs it time.
    before, figure, after = ticks(pid), work(_SECONDS), ticks(pid)
    taken = {one: after[one] - before.get(one, 0) for one in after}
    main = taken[pid] / sum(taken.values())
    recorded = ground.folder / f"{name.replace(' ', '-')}.profile"
    command = [spy, "record", "--format", "raw", "--rate", str(_RATE), "--pid", str(pid)]
    watching = subprocess.Popen(
        [*command, "--duration", str(int(_SECONDS) - 1), "--output", str(recorded)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    work(_SECONDS)
    watching.wait()
    parts = {part: main * share for part, share in shares(recorded).items()}
    return Profile(1e6 / figure.cpu_rate, parts | {_OTHERS: 1 - main})


def main() -> None:
    spy = shutil.which("py-spy") or sys.exit("py-spy is not to be found: pip install py-spy")
    works, numbers = Workloads(), Numbers()
    with prepared() as ground:
        side = ground.penstock
        for name in ("puts", "bulks"):
            side.create(name, {})
        fill(side)
        ground.stored[side.name].await_count(READS, READ)
        for child in (ground.worker, ground.consumer):
            child.pause()
        kinds: dict[str, Callable[[float], Figure]] = {
            "single writes": lambda s: works.puts(side, "puts", numbers.of("", "puts"), s),
            "bulk": lambda s: works.bulks(side, "bulks", numbers.of("", "bulks"), s),
            "cached reads": lambda s: works.gets(side, s, fresh=False),
            "uncached reads": lambda s: works.gets(side, s, fresh=True),
            "list of 20": lambda s: works.pages(side, s),
        }
        found = {name: profiled(spy, ground, name, work) for name, work in kinds.items()}
    print(f"| | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    print(f"| microseconds | {' | '.join(f'{one.cost_us:,.1f}' for one in found.values())} |")
    for part in (_ELSEWHERE, _OTHERS, *_PARTS):
        cells = [f"{one.parts.get(part, 0.0):.0%}" for one in found.values()]
        print(f"| {part} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
