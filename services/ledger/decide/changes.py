"""What a leg does to the stock in its bin: it leaves, arrives, is counted, written down or revalued.

The one idea: each of these changes the exact worth of one stock (a bin's, or a batch's in it), and the value of the bin
follows. What all methods share is said here: what leaves last takes everything, worth is never below zero, what was
issued beyond stock is covered first.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import dropwhile
from typing import NamedTuple

from services.ledger.decide.originals import Original
from services.ledger.decide.state import BinKey, State, has_batches
from services.ledger.decide.valuation import METHODS, Arrival, Costs, Shortage, Stock, Valuation, own_costs
from shared.contracts.movement import Leg
from shared.purposes import Tracking
from shared.quantities import ZERO, rate_of, share_of, to_money, worth_of


class Change(NamedTuple):
    """What changed: quantity, exact worth, value, the costs of the serials; and what the bin holds right after it.

    `rate` is the one that was known in the bin before.
    """

    quantity: Decimal
    worth: Decimal
    value: Decimal
    costs: Costs
    quantity_after: Decimal
    value_after: Decimal
    rate: Decimal | None = None


class Place(NamedTuple):
    """Where a leg works: a bin, the stock that it changes there (the batch's, where the item has batches), its method.

    `digits` is the number of places of the currency.
    """

    key: BinKey
    bin: Stock
    stock: Stock
    method: Valuation
    digits: int

    def settle(self, worth: Decimal, value: Decimal, quantity: Decimal, costs: Costs) -> Change:
        """Take account of a new worth of the stock, which before had this worth and value, and of a new quantity."""
        stock, bin_ = self.stock, self.bin
        rate = bin_.rate
        stock.quantity += quantity
        stock.value = to_money(stock.worth, self.digits)
        worth, value = stock.worth - worth, stock.value - value
        if stock is not bin_:
            bin_.quantity += quantity
            bin_.worth += worth
            bin_.value += value
        if bin_.quantity > 0 and bin_.value > 0:
            bin_.rate = rate_of(bin_.value, bin_.quantity)
        return Change(quantity, worth, value, costs, bin_.quantity, bin_.value + bin_.pending, rate)

    def owe(self, value: Decimal) -> None:
        """Note what entries say beyond what stands here; it is to be valued anew."""
        self.stock.pending += value
        if self.stock is not self.bin:
            self.bin.pending += value


def place_of(leg: Leg, key: BinKey, books: State, digits: int) -> Place:
    """Where a leg works."""
    bin_ = books.bins[key]
    stock = books.batches[(*key, leg.batch or "")] if has_batches(leg) else bin_
    return Place(key, bin_, stock, METHODS[leg.method if leg.tracking is Tracking.NONE else leg.tracking], digits)


def last_rate(leg: Leg, bin_: Stock) -> Decimal:
    """The last rate known in a bin, else the standard rate, else nothing."""
    return bin_.rate or leg.standard_rate or ZERO


# --- leaving ---------------------------------------------------------------------------------------------------------


def is_short(leg: Leg, place: Place) -> bool:
    """Whether more leaves than is there."""
    return -leg.quantity > place.stock.quantity


def leave(leg: Leg, place: Place, original: Original | None) -> Change:
    """Take out what leaves, or is sent back of an original; there is enough."""
    stock, quantity, send_back = place.stock, -leg.quantity, place.method.send_back
    worth, value = stock.worth, stock.value
    costs: Costs = {}
    if original is None or send_back is None or not original.quantity:
        taken, costs = place.method.leave(stock, quantity, leg.serials)
    else:
        taken = send_back(stock, quantity, original.present_value, original.quantity)
    # What leaves last takes all the worth.
    stock.worth = ZERO if quantity == stock.quantity else worth - taken
    return place.settle(worth, value, leg.quantity, costs)


def leave_beyond(leg: Leg, place: Place, account: str, entry: str) -> Change:
    """All that is there leaves with all its worth; what is lacking leaves at the last known rate, and is remembered.

    `account` bears the difference when it is covered at another rate.
    """
    stock, rate = place.stock, last_rate(leg, place.bin)
    worth, value = stock.worth, stock.value
    lacking = -leg.quantity - max(stock.quantity, ZERO)
    shortage = Shortage(lacking, worth_of(lacking, rate), account, entry)
    stock.worth = min(worth, ZERO) - shortage.worth
    stock.layers.clear()
    if stock is place.bin:  # nothing remembers it of a batch, of which never more leaves than is there
        stock.shortages.append(shortage)
    costs = {serial: rate if (cost := stock.costs.get(serial)) is None else cost for serial in leg.serials}
    stock.costs.update(dict.fromkeys(leg.serials))
    return place.settle(worth, value, leg.quantity, costs)


# --- arriving --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrueUp:
    """What was issued beyond stock was worth something else, as its covering shows; `account` bears it."""

    account: str
    change: Change


@dataclass(frozen=True, slots=True)
class Covered:
    """What became of goods that arrive where more was issued than was there: true-ups, and what of them stays."""

    true_ups: Sequence[TrueUp]
    quantity: Decimal
    worth: Decimal


def arrive(
    leg: Leg, place: Place, worth: Decimal, costs: Costs, covered: Covered | None, left: Change | None = None
) -> Change:
    """Put in what arrives, with its whole worth; `left` is the change by the leg from which it arrives."""
    stock = place.stock
    before, value = stock.worth, stock.value
    stock.worth += worth
    if covered is None:
        place.method.arrive(stock, leg.quantity, worth, costs)
    elif covered.quantity:
        place.method.arrive(stock, covered.quantity, covered.worth, costs)
    change = place.settle(before, value, leg.quantity, costs)
    if left is not None and not worth and not place.bin.rate:
        place.bin.rate = left.rate  # goods too cheap to have a value bring at least their rate
    return change


def cover(place: Place, quantity: Decimal, worth: Decimal, adjustment: str) -> Covered:
    """Cover shortages by what arrives, oldest first, before it is put in; `adjustment` bears what nobody remembers.

    A piece was thought to be worth something, and turns out to be worth its part of what arrives.
    """
    stock = place.stock
    pieces = _shortages(stock, adjustment)
    differences: dict[str, Decimal] = {}
    stays, stays_worth = quantity, worth
    while pieces and stays:
        piece = pieces.popleft()
        part = min(piece.quantity, stays)
        thought = piece.worth if part == piece.quantity else share_of(piece.worth, part, piece.quantity)
        if part < piece.quantity:
            pieces.appendleft(Shortage(piece.quantity - part, piece.worth - thought, piece.account, piece.entry))
        # The last unit takes the rest, of which there is always enough.
        turned_out = stays_worth if part == stays else min(share_of(worth, part, quantity), stays_worth)
        differences[piece.account] = differences.get(piece.account, ZERO) + thought - turned_out
        stays, stays_worth = stays - part, stays_worth - turned_out
    stock.shortages = deque(piece for piece in pieces if piece.entry)
    true_ups = [TrueUp(account, _true_up(place, difference)) for account, difference in differences.items()]
    return Covered(true_ups, stays, stays_worth)


def _shortages(stock: Stock, adjustment: str) -> deque[Shortage]:
    """All that was issued beyond stock, oldest first; what is not remembered stands before it, and has no entry."""
    unknown = -stock.quantity - sum((each.quantity for each in stock.shortages), ZERO)
    if not unknown:
        return stock.shortages.copy()
    worth = -stock.worth - sum((each.worth for each in stock.shortages), ZERO)
    return deque([Shortage(unknown, worth, adjustment, ""), *stock.shortages])


def _true_up(place: Place, difference: Decimal) -> Change:
    stock = place.stock
    worth, value = stock.worth, stock.value
    stock.worth += difference
    return place.settle(worth, value, ZERO, {})


# --- changing where it stands ----------------------------------------------------------------------------------------


def count(leg: Leg, place: Place, worth: Decimal) -> Change | None:
    """Make the stock what was counted, worth so much; None where quantity and value are what they were."""
    if leg.tracking is Tracking.SERIAL:
        return _count_serials(leg, place, worth)
    stock, counted = place.stock, leg.counted or ZERO
    if counted == stock.quantity and to_money(worth, place.digits) == stock.value:
        return None
    before = (stock.worth, stock.value)
    stock.worth = worth
    stock.shortages.clear()
    if place.method.count is not None:
        place.method.count(stock, counted, worth)
    return place.settle(*before, counted - stock.quantity, {})


def _count_serials(leg: Leg, place: Place, worth: Decimal) -> Change | None:
    """Those that stand there are worth so much together; missing ones have left before, found ones have arrived."""
    stock = place.stock
    if not leg.serials or stock.quantity <= 0:
        return None
    known = own_costs(stock, leg.serials)
    counted_worth = max(ZERO, stock.worth + worth - sum(known.values(), ZERO))
    if to_money(counted_worth, place.digits) == stock.value:
        return None
    costs = dict.fromkeys(leg.serials, rate_of(worth, Decimal(len(leg.serials))))
    before = (stock.worth, stock.value)
    stock.worth = counted_worth
    stock.costs.update(costs)
    return place.settle(*before, ZERO, costs)


def write_down(leg: Leg, place: Place) -> Change | None:
    """Let nothing be worth more than the leg's rate a unit; None where that would lower no value: it does nothing."""
    stock = place.stock
    if leg.rate is None or stock.quantity <= 0:
        return None
    tried = stock.copy()
    lowered, costs = place.method.lower(tried, leg.rate, leg.serials)
    if to_money(stock.worth - lowered, place.digits) == stock.value:
        return None
    before = (stock.worth, stock.value)
    stock.worth -= lowered
    stock.layers = tried.layers
    stock.costs.update(costs)
    return place.settle(*before, ZERO, costs)


def land(leg: Leg, place: Place, worth: Decimal, original: Original | None, arrivals: Sequence[Arrival]) -> Change:
    """Add worth to what an original brought, the first of the arrivals: nothing but these came after it.

    What it brought is not worth less than nothing afterwards, so less may be taken away than was meant.
    """
    stock = place.stock
    before = (stock.worth, stock.value)
    costs: Costs = {}
    if stock.quantity > 0:
        floor = stock.worth if original is None else min(stock.worth, original.present_worth)
        worth = max(worth, -floor)
        costs = place.method.land(stock, worth, arrivals, leg.serials)
        stock.worth += worth
    return place.settle(*before, ZERO, costs)


# --- where later things stand already ---------------------------------------------------------------------------------


def shift(leg: Leg, place: Place, value: Decimal, costs: Costs, adjustment: str) -> Change:
    """Let a quantity come or go that was inserted before what stands here now; told is that it is worth `value`.

    What stands here takes it as if it came or went now. How far the two differ is pending until all that is behind its
    own place is valued anew.
    """
    stock = place.stock
    before = (stock.worth, stock.value)
    if leg.quantity < 0:
        if is_short(leg, place):
            leave_beyond(leg, place, adjustment, "")
        else:
            leave(leg, place, None)
    elif leg.quantity > 0:
        worth = max(value, ZERO)
        covered = cover(place, leg.quantity, worth, adjustment) if stock.quantity < 0 else None
        arrive(leg, place, worth, costs, covered)
    place.owe(value - (stock.value - before[1]))
    return Change(leg.quantity, value, value, costs, place.bin.quantity, place.bin.value + place.bin.pending)


def arrivals_since(arrivals: Sequence[Arrival], entry: str) -> list[Arrival]:
    """What came into a bin by an entry and after it; nothing where the entry is not among them."""
    return list(dropwhile(lambda each: each.entry != entry, arrivals))
