"""Whether a run is worse than the one recorded: `python -m bench.regression FRESH`.

Ratios are compared, not times: those of another machine, or another hour, are of use as well.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.results import RECORDED, ROWS, Results, read


def worse(recorded: Results, fresh: Results, tolerance: float) -> list[str]:
    """A sentence for each ratio that is worse than the recorded one by more than the tolerance.

    A rate may be lower by that part; a cost (a latency, memory) higher by as much again.
    """
    sentences = []
    for row in ROWS:
        if row.name not in recorded.ratios or row.name not in fresh.ratios:
            continue
        before, now = recorded.ratios[row.name]["ratio"], fresh.ratios[row.name]["ratio"]
        limit = before / (1 - tolerance) if row.is_cost else before * (1 - tolerance)
        if now > limit if row.is_cost else now < limit:
            sentences.append(
                f"{row.work}, against {row.against}: {now:.2f} times, recorded are {before:.2f}"
            )
    return sentences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fresh", type=Path)
    parser.add_argument("--recorded", type=Path, default=RECORDED)
    parser.add_argument("--tolerance", type=float, default=0.25)
    chosen = parser.parse_args()
    sentences = worse(read(chosen.recorded), read(chosen.fresh), chosen.tolerance)
    for sentence in sentences:
        print(sentence)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
