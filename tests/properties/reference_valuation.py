"""Valuation again, slowly: fractions instead of decimals, lists instead of ends, every value summed up from nothing.

It follows the rules and not the code: a bin is a dict of heaps (one for each batch, else one), a heap a list of lots.
What any method does with a lot is spelled out where it happens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import Method, Tracking

CENT, NANO = 2, 9


@dataclass
class Lot:
    """Stock that came in together: quantity, worth, nominal rate."""

    quantity: Fraction
    worth: Fraction
    rate: Fraction


@dataclass
class Heap:
    """The lots of a bin, or of a batch in it; `owed`: quantity and worth that were issued beyond stock, negative."""

    lots: list[Lot] = field(default_factory=list)
    owed: Fraction = Fraction(0)
    owed_worth: Fraction = Fraction(0)
    costs: dict[str, Fraction] = field(default_factory=dict)

    @property
    def quantity(self) -> Fraction:
        return sum((lot.quantity for lot in self.lots), self.owed)

    @property
    def worth(self) -> Fraction:
        return sum((lot.worth for lot in self.lots), self.owed_worth)


@dataclass
class Bin:
    """The heaps of one item in one warehouse, and the last known rate there."""

    heaps: dict[str, Heap] = field(default_factory=dict)
    rate: Fraction = Fraction(0)

    @property
    def quantity(self) -> Fraction:
        return sum((heap.quantity for heap in self.heaps.values()), Fraction(0))

    @property
    def worth(self) -> Fraction:
        return sum((heap.worth for heap in self.heaps.values()), Fraction(0))

    @property
    def value(self) -> Fraction:
        return sum((round(heap.worth, CENT) for heap in self.heaps.values()), Fraction(0))


Bins = dict[tuple[str, str], Bin]
Told = tuple[Fraction, Fraction, Fraction]
"""Of an entry: change of value, quantity and value of the bin after it."""


def play(movements: Sequence[MovementAllocated]) -> tuple[list[list[Told]], Bins]:
    """The entries of movements applied in the given order, and the bins in the end."""
    bins: Bins = {}
    told = [_play(movement, bins) for movement in movements]
    return told, bins


def _play(movement: MovementAllocated, bins: Bins) -> list[Told]:
    told: list[Told] = []
    costs: list[dict[str, Fraction]] = []
    known: list[Fraction] = []
    for leg in movement.legs:
        here = bins.setdefault((leg.item, leg.warehouse), Bin())
        heap = here.heaps.setdefault(leg.batch or "" if leg.tracking is Tracking.BATCH else "", Heap())
        before = here.value
        known.append(here.rate)
        if leg.quantity < 0:
            costs.append(_take(leg, here, heap))
        elif leg.arrives_from is None:
            costs.append(_bring(leg, heap, _amount(leg, here), {}))
        else:
            costs.append(_bring(leg, heap, -told[leg.arrives_from][0], costs[leg.arrives_from]))
        if here.quantity > 0 and here.value > 0:
            here.rate = round(here.value / here.quantity, NANO)
        elif leg.arrives_from is not None and not here.rate:
            here.rate = known[leg.arrives_from]
        told.append((here.value - before, here.quantity, here.value))
    return told


def _amount(leg: Leg, here: Bin) -> Fraction:
    if leg.amount is not None:
        return Fraction(leg.amount)
    return round(Fraction(leg.quantity) * _known_rate(leg, here), CENT)


def _known_rate(leg: Leg, here: Bin) -> Fraction:
    return here.rate if here.rate > 0 else Fraction(leg.standard_rate or 0)


def _bring(leg: Leg, heap: Heap, worth: Fraction, own: dict[str, Fraction]) -> dict[str, Fraction]:
    quantity = Fraction(leg.quantity)
    rate = round(worth / quantity, NANO)
    costs = {serial: own.get(serial, rate) for serial in leg.serials}
    heap.costs.update(costs)
    if heap.owed:
        covered = min(quantity, -heap.owed)
        heap.owed_worth = round(heap.owed_worth * (heap.owed + covered) / heap.owed, NANO)
        heap.owed += covered
        worth = round(worth * (quantity - covered) / quantity, NANO)
        quantity -= covered
    if quantity:
        newest = heap.lots[-1] if heap.lots else None
        rate = round(worth / quantity, NANO)
        one_lot = leg.tracking is not Tracking.NONE or leg.method is Method.MOVING_AVERAGE
        if newest and (one_lot or newest.rate == rate):
            newest.quantity += quantity
            newest.worth += worth
        else:
            heap.lots.append(Lot(quantity, worth, rate))
    return costs


def _take(leg: Leg, here: Bin, heap: Heap) -> dict[str, Fraction]:
    quantity = -Fraction(leg.quantity)
    if quantity > heap.quantity:
        return _take_beyond(leg, here, heap, quantity)
    if leg.tracking is Tracking.SERIAL:
        return _take_serials(leg, heap, quantity)
    while quantity:
        last = leg.tracking is Tracking.NONE and leg.method is Method.LIFO
        lot = heap.lots[-1 if last else 0]
        part = min(quantity, lot.quantity)
        lot.worth -= round(lot.worth * part / lot.quantity, NANO)
        lot.quantity -= part
        quantity -= part
        if not lot.quantity:
            heap.lots.remove(lot)
    return {}


def _take_serials(leg: Leg, heap: Heap, quantity: Fraction) -> dict[str, Fraction]:
    (lot,) = heap.lots
    costs = {}
    for serial in leg.serials:
        costs[serial] = min(heap.costs.pop(serial), lot.worth)
        lot.worth -= costs[serial]
    lot.quantity -= quantity
    if not lot.quantity:
        costs[leg.serials[-1]] += lot.worth
        heap.lots.clear()
    return costs


def _take_beyond(leg: Leg, here: Bin, heap: Heap, quantity: Fraction) -> dict[str, Fraction]:
    rate = _known_rate(leg, here)
    lacking = quantity - sum(lot.quantity for lot in heap.lots)
    heap.lots.clear()
    heap.owed -= lacking
    heap.owed_worth -= round(lacking * rate, NANO)
    return {serial: heap.costs.pop(serial, rate) for serial in leg.serials}
