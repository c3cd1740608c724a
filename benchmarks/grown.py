"""P7 and P11: what very many entries in the ledger cost: P1 in turns with an empty one, and `stockbook verify`.

The idea: nothing is made up. Whatever stands in the ledger was written by the services themselves, movement by
movement, in bulk and in one process; so all that `verify` looks at is there, down to the chains. One ledger grows from
size to size. Its movements have ten lines and lie in the same bins as P1, whose stock stays as it is.
"""

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import sqlalchemy as sa

from benchmarks import load
from benchmarks.commands import Ran, stockbook
from benchmarks.pipeline import Throughput, throughput
from benchmarks.rig import Rig, database, play, rig
from shared.contracts.movement import MovementRequested
from shared.logs import configure

LINES = 10
_SIZE = "SELECT pg_database_size(current_database())"


@dataclass(frozen=True, slots=True)
class Verified:
    """`stockbook verify`: without what goes through every row and message, several times; and once with that."""

    quick: Sequence[Ran]
    thorough: Ran

    @property
    def seconds(self) -> float:
        """The middle one of the quick runs."""
        return median(each.seconds for each in self.quick)

    @property
    def memory(self) -> float:
        """The most memory (MiB) of any of them."""
        return max(each.memory for each in self.quick)


@dataclass(frozen=True, slots=True)
class Rung:
    """A ledger of so many entries: how long it took to fill it up from the size before, its bytes on the disk, and what
    was measured: P1 without and with them, in turns, and `verify`."""

    entries: int
    filled: float
    size: int
    empty: Sequence[Throughput]
    full: Sequence[Throughput]
    verified: Verified | None

    @property
    def ratios(self) -> list[float]:
        """How much of the throughput is left, turn by turn."""
        return [full.rate / empty.rate for empty, full in zip(self.empty, self.full, strict=True)]


def grown(where: Rig, sizes: Collection[int], verified: Collection[int], runs: int, movements: int) -> Iterator[Rung]:
    """Let a ledger grow to all these sizes (entries); so many times, at each of `sizes` measure P1 without and with
    them, at each of `verified` verify it."""
    with database(where) as url:
        full, reached = replace(where, template=url), 0
        for entries in sorted({*sizes, *verified}):
            started = perf_counter()
            play(url, [], earlier(reached, entries))
            filled, reached = perf_counter() - started, entries
            looked = _verified(url, runs) if entries in verified else None
            turns = _turns(where, full, runs if entries in sizes else 0, movements)
            yield Rung(entries, filled, _size(url), *turns, looked)


def earlier(behind: int, entries: int) -> Iterator[MovementRequested]:
    """What makes the ledger grow from so many entries to so many; both are multiples of 40."""
    for number in range(behind // LINES, entries // LINES):
        first = number // 4 * LINES % len(load.BINS)
        yield load.balanced(load.EARLIER, number, load.BINS[first : first + LINES])


def _verified(url: str, runs: int) -> Verified:
    return Verified([stockbook(["verify", "--quick"], url) for _ in range(runs)], stockbook(["verify"], url))


def _turns(empty: Rig, full: Rig, runs: int, movements: int) -> tuple[list[Throughput], list[Throughput]]:
    """P1 in both, so many times; whichever comes first changes from turn to turn."""
    without: list[Throughput] = []
    with_them: list[Throughput] = []
    for number in range(runs):
        turn = [(empty, without), (full, with_them)]
        for where, found in reversed(turn) if number % 2 else turn:
            found.append(throughput(where, movements, 1))
    return without, with_them


def _size(url: str) -> int:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return int(connection.execute(sa.text(_SIZE)).scalar_one())


def main(arguments: Sequence[str]) -> None:
    """Measure these rows alone at each of the sizes that are named, and print them."""
    configure("warning")
    sizes = [int(each) for each in arguments] or [100_000]
    with rig() as where:
        for rung in grown(where, sizes, sizes, 1, 4_000):
            print(f"{rung.entries:,} entries, {rung.size / 2**20:,.0f} MiB, filled in {rung.filled:.1f} s:")
            print(f"  P1 {rung.full[0].rate:,.0f}/s, {median(rung.ratios):.2f} of that without")
            if rung.verified is not None:
                for ran in (*rung.verified.quick, rung.verified.thorough):
                    print(f"  verify: {ran.seconds:.1f} s, {ran.memory:.0f} MiB; {ran.output.splitlines()[-1]}")


if __name__ == "__main__":
    main(sys.argv[1:])
