"""Costs that grow: movements of another shape than P1's, measured in turns with it.

The hot item: every line takes from the same bin, or brings into it, so nothing can be done side by side. Wide
movements: each has hundreds of lines, all in different bins, so a set of them touches every bin there is.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from benchmarks import load
from benchmarks.pipeline import Throughput, throughput
from benchmarks.rig import Rig, rig
from shared.contracts.movement import MovementRequested
from shared.logs import configure

LINES = 500
"""Lines of a wide movement."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """Runs in turns: P1 as it is, the hot item, and wide movements."""

    plain: Sequence[Throughput]
    hot: Sequence[Throughput]
    wide: Sequence[Throughput]

    @property
    def hot_ratio(self) -> float:
        """The throughput in one bin by that in a thousand, in movements, each of one line."""
        return median(hot.rate / plain.rate for hot, plain in zip(self.hot, self.plain, strict=True))

    @property
    def wide_ratio(self) -> float:
        """The same of wide movements, in lines."""
        return median(wide.rate * LINES / plain.rate for wide, plain in zip(self.wide, self.plain, strict=True))


def shapes(where: Rig, runs: int, movements: int, wide: int) -> Shapes:
    """So many turns of all three, with so many movements of one line, and so many wide ones."""
    turns = [
        (
            throughput(where, movements, 1),
            throughput(where, movements, 1, requested=partial(hot_movements, movements)),
            throughput(where, wide, 1, requested=partial(wide_movements, wide)),
        )
        for _ in range(runs)
    ]
    return Shapes(*zip(*turns, strict=True))


def hot_movements(number: int) -> list[MovementRequested]:
    """One line each, all in one bin."""
    return [load.balanced(load.TIMED, each, load.BINS[:1]) for each in range(number)]


def wide_movements(number: int) -> list[MovementRequested]:
    """Hundreds of lines each: four in one half of all bins, then four in the other."""
    halves = (load.BINS[:LINES], load.BINS[LINES:])
    return [load.balanced(load.TIMED, each, halves[each // 4 % 2]) for each in range(number)]


def main(arguments: Sequence[str]) -> None:
    """Measure these rows alone, and print them."""
    configure("warning")
    movements = int(arguments[0]) if arguments else 4_000
    with rig() as where:
        found = shapes(where, 1, movements, max(movements // 100, 8))
    print(f"one bin: {found.hot[0].rate:,.0f}/s, {found.hot_ratio:.2f} of P1;")
    print(f"{LINES} lines: {found.wide[0].rate * LINES:,.0f} lines/s, {found.wide_ratio:.2f} of P1")


if __name__ == "__main__":
    main(sys.argv[1:])
