"""How much is measured: in full, and for a quick look."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured of each row.

    `runs` of whatever is measured more than once, with `movements` in each; `samples` of the latency in each; movements
    of the `naive` consumer, and movements by set size for the other ceilings. `pasts`: runs by the number of later
    entries of a back-dated receipt; `cascade`: the later entries of the one during which others come, `rate` of them a
    second. `traced`: movements among which goods are traced. Seconds of a `flood`. Open `reservations`. `baskets` that
    are sold in each run. Seconds of each run at `half` the load. `serials`: runs by the units of a receipt. `wide`
    movements in each run. `sizes` of a ledger at which P1 is measured, and those at which it is `verified`. Movements
    during which memory is looked at (`long`), and those during which workers are `profiled`.
    """

    runs: int
    movements: int
    samples: int
    naive: int
    small_sets: dict[int, int]
    pasts: dict[int, int]
    cascade: int
    rate: int
    traced: int
    flood: float
    reservations: int
    baskets: int
    half: float
    serials: dict[int, int]
    wide: int
    sizes: tuple[int, ...]
    verified: tuple[int, ...]
    long: int
    profiled: int


QUICK = Plan(
    runs=3,
    movements=4_000,
    samples=50,
    naive=100,
    small_sets={1: 100, 100: 2_000},
    pasts={10_000: 1},
    cascade=10_000,
    rate=200,
    traced=100_000,
    flood=6,
    reservations=100_000,
    baskets=500,
    half=4,
    serials={10_000: 1, 100_000: 1},
    wide=40,
    sizes=(50_000,),
    verified=(10_000, 50_000),
    long=20_000,
    profiled=4_000,
)
FULL = Plan(
    runs=5,
    movements=20_000,
    samples=200,
    naive=1_000,
    small_sets={1: 500, 100: 10_000},
    pasts={10_000: 3, 100_000: 1},
    cascade=100_000,
    rate=200,
    traced=1_000_000,
    flood=30,
    reservations=1_000_000,
    baskets=20_000,
    half=20,
    serials={10_000: 5, 100_000: 5},
    wide=200,
    sizes=(1_000_000, 5_000_000),
    verified=(100_000, 1_000_000),
    # An hour of 300 a second: three hundred shops, each of which sells something every second.
    long=1_080_000,
    profiled=20_000,
)
