"""What a bin holds, slowly: fractions instead of decimals, lists instead of ends, every total summed up from nothing.

It follows the rules and not the code: a bin is a dict of heaps (one for each batch, else one), a heap a list of lots
and a list of shortages. What any method does with a lot is spelled out where it happens. Whatever arrives is remembered
with the lots that it found, so that it can be brought in once more at another worth.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from shared.contracts.movement import Leg
from shared.purposes import Method, Tracking

NANO = 9
NOTHING = Fraction(0)

Costs = dict[str, Fraction]
"""Serials and their own costs."""


@dataclass
class Lot:
    """Stock that came in together: quantity, worth, nominal rate."""

    quantity: Fraction
    worth: Fraction
    rate: Fraction


@dataclass
class Shortage:
    """What was issued beyond stock: quantity and worth, above zero, and the account that bears the difference."""

    quantity: Fraction
    worth: Fraction
    account: str


@dataclass
class Arrival:
    """What came in, and the lots that it found, since anything was last taken, counted or written down.

    `covered`: some of it covered a shortage, and does not lie there.
    """

    entry: str
    quantity: Fraction
    worth: Fraction
    found: list[Lot]
    covered: bool


@dataclass
class Heap:
    """What stands in a bin, or of a batch in it; `trued_up` is worth that a shortage has got and no arrival yet met."""

    lots: list[Lot] = field(default_factory=list)
    shortages: list[Shortage] = field(default_factory=list)
    trued_up: Fraction = NOTHING
    costs: Costs = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)

    @property
    def quantity(self) -> Fraction:
        return total(lot.quantity for lot in self.lots) - total(each.quantity for each in self.shortages)

    @property
    def worth(self) -> Fraction:
        return total(lot.worth for lot in self.lots) - total(each.worth for each in self.shortages) + self.trued_up


@dataclass
class Bin:
    """The heaps of one item in one warehouse, and the last known rate there; `digits` of its money."""

    digits: int
    heaps: dict[str, Heap] = field(default_factory=dict)
    rate: Fraction = NOTHING

    @property
    def quantity(self) -> Fraction:
        return total(heap.quantity for heap in self.heaps.values())

    @property
    def worth(self) -> Fraction:
        return total(heap.worth for heap in self.heaps.values())

    @property
    def value(self) -> Fraction:
        return total(round(heap.worth, self.digits) for heap in self.heaps.values())

    def heap_of(self, leg: Leg) -> Heap:
        return self.heaps.setdefault(leg.batch or "" if leg.tracking is Tracking.BATCH else "", Heap())

    def rate_for(self, leg: Leg) -> Fraction:
        """The last rate known here, else the leg's standard rate, else nothing."""
        return self.rate if self.rate > 0 else Fraction(leg.standard_rate or 0)

    def learn_rate(self, otherwise: Fraction = NOTHING) -> None:
        """Know the rate of what stands here; where that has no value and no rate was ever known, the other one."""
        if self.quantity > 0 and self.value > 0:
            self.rate = nano(self.value / self.quantity)
        elif not self.rate:
            self.rate = otherwise


def total(numbers: Iterable[Fraction]) -> Fraction:
    """Their sum, a fraction even where there is none."""
    return sum(numbers, NOTHING)


def nano(number: Fraction) -> Fraction:
    """Rounded half to even to the nine places of rates and worth."""
    return round(number, NANO)


def bring(heap: Heap, leg: Leg, entry: str, quantity: Fraction, worth: Fraction, costs: Costs) -> None:
    """What a leg brings covers what is lacking, then lies down."""
    heap.costs |= costs
    heap.arrivals.append(Arrival(entry, quantity, worth, _copied(heap.lots), bool(heap.shortages)))
    for piece in _covered(heap, quantity, worth):
        shortage = heap.shortages[0]
        shortage.quantity -= piece.quantity
        shortage.worth -= piece.issued
        quantity, worth = quantity - piece.quantity, worth - piece.arrives
        if not shortage.quantity:
            heap.shortages.pop(0)
    heap.trued_up = NOTHING
    _lie_down(heap.lots, leg, quantity, worth)


def true_ups(heap: Heap, quantity: Fraction, worth: Fraction) -> dict[str, Fraction]:
    """By account: by how much what was issued too short was worth more than what is about to arrive for it."""
    found: dict[str, Fraction] = {}
    for piece in _covered(heap, quantity, worth):
        found[piece.account] = found.get(piece.account, NOTHING) + piece.issued - piece.arrives
    return found


def take(heap: Heap, leg: Leg, quantity: Fraction) -> Costs:
    """No more than is there leaves by the leg's method; the costs of its serials."""
    heap.arrivals.clear()
    if leg.tracking is Tracking.SERIAL:
        return _take_serials(heap, leg.serials)
    _take_from(heap, heap.lots[:: -1 if _is(leg, Method.LIFO) else 1], quantity)
    return {}


def take_at(heap: Heap, leg: Leg, quantity: Fraction, value: Fraction, whole: Fraction) -> None:
    """A part of what came as a whole of some value is sent back to the supplier, of stock that knows no serials."""
    heap.arrivals.clear()
    if _is(leg, Method.LIFO):
        _take_from(heap, heap.lots[::-1], quantity)
    elif _is(leg, Method.FIFO):
        first = [lot for lot in heap.lots if lot.rate == nano(value / whole)]
        _take_from(heap, [*first, *(lot for lot in heap.lots if lot not in first)], quantity)
    elif quantity == heap.quantity:
        heap.lots.clear()
    else:
        (lot,) = heap.lots
        lot.worth -= min(nano(value * quantity / whole), lot.worth)
        lot.quantity -= quantity


def take_beyond(heap: Heap, quantity: Fraction, rate: Fraction, account: str) -> None:
    """All that is there leaves, and what is lacking at a rate."""
    heap.arrivals.clear()
    lacking = quantity - total(lot.quantity for lot in heap.lots)
    heap.lots.clear()
    heap.shortages.append(Shortage(lacking, nano(lacking * rate), account))


def count(heap: Heap, counted: Fraction, worth: Fraction) -> None:
    """From now on this stands here, and nothing is lacking."""
    heap.arrivals.clear()
    heap.shortages.clear()
    heap.lots = [Lot(counted, worth, nano(worth / counted))] if counted else []


def revalue(heap: Heap, costs: Costs, change: Fraction) -> None:
    """Serials that stand here get other costs; the stock is never worth less than nothing."""
    heap.arrivals.clear()
    (lot,) = heap.lots
    lot.worth = max(lot.worth + change, NOTHING)
    heap.costs |= costs


def write_down(heap: Heap, leg: Leg, rate: Fraction) -> None:
    """Nothing is worth more than this rate a unit."""
    if leg.tracking is Tracking.SERIAL:
        # What left before is not written down.
        costs = {serial: min(heap.costs[serial], rate) for serial in leg.serials if serial in heap.costs}
        if costs:
            revalue(heap, costs, total(costs[serial] - heap.costs[serial] for serial in costs))
        return
    heap.arrivals.clear()
    for lot in heap.lots:
        if lot.worth > nano(lot.quantity * rate):
            lot.worth, lot.rate = nano(lot.quantity * rate), rate


def land(heap: Heap, leg: Leg, entry: str, change: Fraction) -> None:
    """What an entry brought is worth more or less; of goods in layers, all from it on comes in once more.

    Where nothing is there, nothing is worth more.
    """
    if heap.quantity <= 0:
        return
    if _has_layers(leg):
        (place,) = (place for place, each in enumerate(heap.arrivals) if each.entry == entry)
        if any(each.covered for each in heap.arrivals):
            heap.lots = _lying_after(heap, leg, heap.arrivals[place:], change)
            heap.arrivals[place].worth += change
        else:
            heap.arrivals[place].worth += change
            heap.lots = _copied(heap.arrivals[place].found)
            for each in heap.arrivals[place:]:
                each.found = _copied(heap.lots)
                _lie_down(heap.lots, leg, each.quantity, each.worth)
    else:
        heap.lots[0].worth += change
    for serial in leg.serials:
        heap.costs[serial] = max(heap.costs[serial] + nano(change / len(leg.serials)), NOTHING)


def _lying_after(heap: Heap, leg: Leg, again: Sequence[Arrival], change: Fraction) -> list[Lot]:
    """What lies there when some of it covered a shortage, and the first of those that come once more is worth more.

    Each is taken back out of the newest lot first. Of what does not lie there as a whole it is not known how much stays
    of it: then all that is there becomes one lot.
    """
    lots = _copied(heap.lots)
    worths = {}
    for each in reversed(again):
        if not lots or lots[-1].quantity < each.quantity:
            worth = heap.worth + change
            return [Lot(heap.quantity, worth, nano(worth / heap.quantity))]
        whole = lots[-1].quantity == each.quantity
        worths[each.entry] = lots[-1].worth if whole else each.worth
        lots[-1].quantity -= each.quantity
        lots[-1].worth -= worths[each.entry]
        lots = [lot for lot in lots if lot.quantity]
    worths[again[0].entry] += change
    for each in again:
        _lie_down(lots, leg, each.quantity, worths[each.entry])
    return lots


@dataclass(frozen=True)
class _Piece:
    """A part of what arrives that covers a shortage (or a part of it): its worth as issued, and as it arrives."""

    quantity: Fraction
    issued: Fraction
    arrives: Fraction
    account: str


def _covered(heap: Heap, quantity: Fraction, worth: Fraction) -> list[_Piece]:
    pieces: list[_Piece] = []
    for shortage in heap.shortages:
        left = quantity - total(each.quantity for each in pieces)
        part = min(left, shortage.quantity)
        if not part:
            break
        issued = shortage.worth if part == shortage.quantity else nano(shortage.worth * part / shortage.quantity)
        rest = worth - total(each.arrives for each in pieces)
        arrives = rest if part == left else nano(worth * part / quantity)
        pieces.append(_Piece(part, issued, arrives, shortage.account))
    return pieces


def _lie_down(lots: list[Lot], leg: Leg, quantity: Fraction, worth: Fraction) -> None:
    if not quantity:
        return
    rate = nano(worth / quantity)
    if lots and (not _has_layers(leg) or lots[-1].rate == rate):
        lots[-1].quantity += quantity
        lots[-1].worth += worth
    else:
        lots.append(Lot(quantity, worth, rate))


def _take_from(heap: Heap, lots: Sequence[Lot], quantity: Fraction) -> None:
    for lot in lots:
        part = min(quantity, lot.quantity)
        lot.worth -= nano(lot.worth * part / lot.quantity)
        lot.quantity -= part
        quantity -= part
    heap.lots = [lot for lot in heap.lots if lot.quantity]


def _take_serials(heap: Heap, serials: Sequence[str]) -> Costs:
    (lot,) = heap.lots
    costs = {}
    for serial in serials:
        costs[serial] = min(heap.costs.pop(serial), lot.worth)
        lot.worth -= costs[serial]
        lot.quantity -= 1
    if not lot.quantity:
        costs[serials[-1]] += lot.worth
        heap.lots.clear()
    return costs


def _copied(lots: Sequence[Lot]) -> list[Lot]:
    return [replace(lot) for lot in lots]


def _is(leg: Leg, method: Method) -> bool:
    return leg.tracking is Tracking.NONE and leg.method is method


def _has_layers(leg: Leg) -> bool:
    return _is(leg, Method.FIFO) or _is(leg, Method.LIFO)
