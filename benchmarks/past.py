"""A long past, and the one receipt that is told when it is over: it comes before all of it.

The idea: it brings enough of everything, at another rate, so that every single entry behind it is worth something else
from then on, and nothing that is noted on the way agrees. No past makes more work.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import count, islice

from benchmarks import load
from services.desk.events import Event, make_event
from shared.contracts.masters import ItemDefined, WarehouseDefined
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.purposes import Method
from shared.quantities import Quantity, Rate

MAIN = "main"
BRANCHES = [f"branch-{number:02d}" for number in range(50)]
BEFORE, LATE = "p", "l"
"""What was told in time, and what is told late: the first letters of ids."""

FIFO, AVERAGE, WANDERING = "fifo", "moving average", "through 50 bins"
"""A past of one bin, by what its item is valued; and one in which goods go on from there to fifty other bins."""
ITEMS: Mapping[str, ItemDefined] = {
    FIFO: ItemDefined(company=load.COMPANY, item="behind", valuation_method=Method.FIFO),
    AVERAGE: ItemDefined(company=load.COMPANY, item="behind", valuation_method=Method.MOVING_AVERAGE),
    WANDERING: ItemDefined(company=load.COMPANY, item="behind", valuation_method=Method.FIFO),
}

_BEGAN = load.OPENED + timedelta(hours=1)
_STEP = timedelta(milliseconds=100)


def definitions(kind: str) -> list[Event]:
    """The item of a past, and its warehouses."""
    warehouses = [WarehouseDefined(company=load.COMPANY, warehouse=code, name=code) for code in (MAIN, *BRANCHES)]
    item = make_event("item.defined.v1", load.SOURCE, ITEMS[kind], "behind")
    return [item, *(make_event("warehouse.defined.v1", load.SOURCE, each, each.warehouse) for each in warehouses)]


def movements(kind: str, entries: int) -> Iterator[MovementRequested]:
    """A past of so many ledger entries: deliveries from one bin, or transfers with a delivery behind each of them."""
    yield _receipt(BEFORE, entries, 2 * entries, "2.00", _BEGAN)
    numbers = count(entries + 1)
    makes = _wandering(numbers) if kind == WANDERING else _one_bin(numbers)
    yield from islice(makes, entries - 1 if kind != WANDERING else entries * 2 // 3)


def late(entries: int) -> MovementRequested:
    """The receipt that is told when it is over."""
    return _receipt(LATE, 0, 2 * entries, "3.00", _BEGAN - timedelta(days=1))


def sales(kind: str, part: str) -> Iterator[MovementRequested]:
    """Deliveries out of the bins of a past, when it is over, without an end; numbered as the load's own."""
    places = [place for branch in BRANCHES for place in (MAIN, branch)] if kind == WANDERING else [MAIN]
    for number in count():
        yield load.delivery(part, number, "behind", places[number // 10 % len(places)], 1, "somebody")


def _one_bin(numbers: Iterator[int]) -> Iterator[MovementRequested]:
    for number in numbers:
        yield _moved(number, "delivery", "1", source=MAIN)


def _wandering(numbers: Iterator[int]) -> Iterator[MovementRequested]:
    """Two go on, one of them is sold: so there is something to be sold in each bin when it is over."""
    for number in numbers:
        branch = BRANCHES[number // 2 % len(BRANCHES)]
        yield _moved(number, "material_transfer", "2", source=MAIN, target=branch)
        yield _moved(next(numbers), "delivery", "1", source=branch)


def _moved(number: int, purpose: str, quantity: str, source: str, target: str | None = None) -> MovementRequested:
    line = RequestedLine(item="behind", quantity=Quantity(quantity), source=source, target=target)
    return MovementRequested(
        id=f"{BEFORE}-{number:07d}",
        company=load.COMPANY,
        purpose=purpose,
        posting_at=_BEGAN + number * _STEP,
        lines=[line],
    )


def _receipt(part: str, number: int, quantity: int, rate: str, at: datetime) -> MovementRequested:
    line = RequestedLine(item="behind", quantity=Quantity(quantity), target=MAIN, rate=Rate(rate))
    return MovementRequested(
        id=f"{part}-{number:07d}", company=load.COMPANY, purpose="purchase_receipt", posting_at=at, lines=[line]
    )
