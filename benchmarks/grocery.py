"""P2: real grocery baskets through the services, one message a basket, beside the ceiling for the very same rows.

What the stores have received stands there before the clock runs; then the first baskets of the year are sold in the
order of time. Some of the goods have serials, so aftercare runs too.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import baskets, ceiling
from benchmarks.ceiling import Stored
from benchmarks.pipeline import Throughput, throughput
from benchmarks.rig import AFTERCARE, NotHereError, Rig, rig, with_past
from shared.contracts.movement import MovementRequested
from shared.logs import configure
from shared.purposes import Tracking


@dataclass(frozen=True, slots=True)
class Groceries:
    """So many runs of the same sales, and the ceiling of each; `tracked`: lines by how their goods are tracked."""

    sales: int
    lines: int
    tracked: dict[str, int]
    runs: Sequence[Throughput]
    ceilings: Sequence[Stored]


def groceries(where: Rig, count: int | None, runs: int, set_size: int) -> Groceries:
    """Sell the first `count` baskets of the year, or all, so many times. NotHereError where they are not installed."""
    if lack := baskets.lacking():
        raise NotHereError(lack)
    bought, products = baskets.read_bought(count), baskets.read_products()
    tracked = [baskets.tracking_of(each.product, products.get(each.product)) for each in bought if each.quantity]
    sales = len({each.basket for each in bought if each.quantity})
    found: list[Throughput] = []
    ceilings: list[Stored] = []
    with with_past(where, baskets.definitions(bought, products), baskets.receipts(bought, products)) as ready:
        del bought, products
        for _ in range(runs):
            selling = partial(first_sales, count)
            run = throughput(ready, sales, 1, requested=selling, beside=[AFTERCARE], keeping=True)
            ceilings.append(ceiling.measure(ready, run.rows, {set_size: sales}, tries=3)[set_size])
            found.append(run)
    return Groceries(sales, len(tracked), {each: tracked.count(each) for each in Tracking}, found, ceilings)


def first_sales(count: int | None) -> list[MovementRequested]:
    """What the publisher sends."""
    return list(baskets.sales(baskets.read_bought(count)))


def main(arguments: Sequence[str]) -> None:
    """Measure this row alone, with so many baskets or with the whole year, and print it."""
    configure("warning")
    with rig() as where:
        found = groceries(where, int(arguments[0]) if arguments else None, 1, 500)
    run, stored = found.runs[0], found.ceilings[0]
    each = found.lines / found.sales
    print(f"{found.sales:,} sales, {found.lines:,} lines ({found.tracked}): {run.rate * each:,.0f} lines/s,")
    print(f"{run.rate / stored.rate:.2f} of the ceiling; µs a line: {_by_line(run, each)}, memory {run.memory};")
    print(f"{run.used.elsewhere:.0%} of the machine busy with other things")


def _by_line(run: Throughput, lines: float) -> dict[str, float]:
    return {name: round(us / lines, 1) for name, us in run.used.microseconds.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
