"""The worth of what comes in, slowly: of every leg that does not leave, on the stock as it is when all else has left.

Nothing is kept about originals: what an entry is worth by now, and how much of it came back or was sent back, is read
off all the entries that there are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import PURPOSES, Flow, Tracking
from tests.properties.reference_stock import NOTHING, Bin, Costs, nano, total

Booked = dict[str, Fraction]
"""By account: what of an entry's value is booked there, not zero."""


@dataclass(frozen=True)
class Told:
    """An entry. `known` is the rate of its bin before it, `returned` what it took of its original's value."""

    entry: str
    leg: Leg
    stamp: int
    quantity: Fraction
    worth: Fraction
    value: Fraction
    quantity_after: Fraction
    value_after: Fraction
    costs: Costs = field(default_factory=dict)
    booked: Booked = field(default_factory=dict)
    original: str | None = None
    arrives_from: int | None = None
    known: Fraction = NOTHING
    returned: Fraction = NOTHING


@dataclass
class Books:
    """All bins and all entries, of a company whose money has so many digits."""

    digits: int
    bins: dict[tuple[str, str], Bin] = field(default_factory=dict)
    entries: list[Told] = field(default_factory=list)

    def bin(self, item: str, place: str) -> Bin:
        return self.bins.setdefault((item, place), Bin(self.digits))

    def entry(self, entry: str | None) -> Told:
        (found,) = (each for each in self.entries if each.entry == entry)
        return found

    def corrections(self, original: Told) -> list[Told]:
        return [each for each in self.entries if each.original == original.entry and not each.quantity]

    def value_now(self, original: Told) -> Fraction:
        """What an entry is worth with all its corrections, above zero."""
        return abs(original.value + total(each.value for each in self.corrections(original)))

    def came_back(self, original: Told) -> list[Told]:
        return [each for each in self.entries if each.original == original.entry and each.quantity > 0]

    def sent_back(self, original: Told) -> Fraction:
        return -total(each.quantity for each in self.entries if each.original == original.entry and each.quantity < 0)


@dataclass
class Coming:
    """What a leg brings: worth, the own costs of serials, what of it is booked apart, what it takes of its original."""

    worth: Fraction
    costs: Costs = field(default_factory=dict)
    booked: Booked = field(default_factory=dict)
    returned: Fraction = NOTHING


Comings = dict[int, Coming]
"""By the place of the leg."""
Legs = dict[int, Leg]
Weight = Callable[[int, Leg], Fraction]


def incoming(movement: MovementAllocated, left: Sequence[Told], books: Books) -> Comings:
    """What each leg that does not leave brings, by its place; `left` are the entries of those that left."""
    flow = PURPOSES[movement.purpose].flow
    arriving = {place: leg for place, leg in enumerate(movement.legs) if leg.quantity > 0 and leg.counted is None}
    products = {place: leg for place, leg in arriving.items() if flow is Flow.MAKE and _shares(leg)}
    coming: Comings = {}
    for place, leg in enumerate(movement.legs):
        if place in arriving and place not in products:
            coming[place] = _arriving(movement, leg, left, coming, books)
        elif leg.counted is not None:
            coming[place] = Coming(_counted(leg, books.bin(leg.item, leg.warehouse), movement.digits))
    if flow is Flow.MAKE:
        coming |= _made(movement, products, left, coming)
        _book_costs_of_making(movement, products or arriving, coming)
    elif flow is Flow.LAND:
        lines = dict(enumerate(movement.legs))
        coming = {place: Coming(NOTHING) for place in lines}
        _add_costs(movement, lines, coming, lambda _, leg: billed(books.entry(leg.original)), _whole_of(books))
    else:
        base = {place: each.worth for place, each in coming.items()}
        _add_costs(movement, arriving, coming, lambda place, _: base[place], lambda _, leg: Fraction(leg.quantity))
    return coming


def billed(original: Told) -> Fraction:
    """What a receipt booked to its counter account."""
    return original.value - total(original.booked.values())


def portion(amount: Fraction, weights: Sequence[Fraction], digits: int) -> list[Fraction]:
    """Parts by weight, rounded to money; the last that has a weight takes the rest, without any weight the last.

    No part takes more than what is left, so that none has another sign than the whole.
    """
    parts = [NOTHING] * len(weights)
    last = max((place for place, weight in enumerate(weights) if weight), default=len(weights) - 1)
    for place, weight in enumerate(weights[:last]):
        part = round(amount * weight / total(weights), digits) if weight else NOTHING
        parts[place] = min(part, amount - total(parts), key=abs)
    parts[last] = amount - total(parts)
    return parts


def _shares(leg: Leg) -> bool:
    return leg.share is not None and leg.amount is None


def _arriving(movement: MovementAllocated, leg: Leg, left: Sequence[Told], earlier: Comings, books: Books) -> Coming:
    """What a leg brings by itself, without additional costs; products are shared out elsewhere."""
    if leg.arrives_from is not None:
        return Coming(-left[leg.arrives_from].value, dict(left[leg.arrives_from].costs))
    coming = Coming(NOTHING)
    if leg.original is not None:
        coming = _coming_back(movement, leg, earlier, books)
    elif leg.amount is None:
        rate = books.bin(leg.item, leg.warehouse).rate_for(leg)
        coming = _evenly(leg, round(Fraction(leg.quantity) * rate, movement.digits))
    if leg.amount is not None:
        coming = replace(_evenly(leg, Fraction(leg.amount)), returned=coming.returned)
    return coming


def _coming_back(movement: MovementAllocated, leg: Leg, earlier: Comings, books: Books) -> Coming:
    """So much of the original's value that, with all that came back before it, it is their part of it, rounded once."""
    original = books.entry(leg.original)
    told = books.came_back(original)
    here = [place for place in earlier if movement.legs[place].original == leg.original]
    legs = [*(each.leg for each in told), *(movement.legs[place] for place in here), leg]
    back = total(_weight(original, each) for each in legs) / _weight(original, original.leg)
    before = total(each.returned for each in told) + total(earlier[place].returned for place in here)
    returned = round(books.value_now(original) * back, movement.digits) - before
    return Coming(returned, {serial: original.costs[serial] for serial in leg.serials}, returned=returned)


def _weight(original: Told, leg: Leg) -> Fraction:
    if leg.tracking is not Tracking.SERIAL:
        return abs(Fraction(leg.quantity))
    if not any(original.costs.values()):
        return Fraction(len(leg.serials))
    return total(original.costs[serial] for serial in leg.serials)


def _counted(leg: Leg, here: Bin, digits: int) -> Fraction:
    """What is there from now on is worth."""
    heap = here.heap_of(leg)
    counted = Fraction(leg.counted or 0)
    if not counted:
        return NOTHING
    if leg.amount is not None:
        return Fraction(leg.amount)
    if heap.quantity <= 0:
        return round(counted * here.rate_for(leg), digits)
    return heap.worth if counted == heap.quantity else nano(counted * nano(heap.worth / heap.quantity))


def _made(movement: MovementAllocated, products: Legs, left: Sequence[Told], others: Comings) -> Comings:
    """What was consumed, with all costs and without what has a worth of its own, is shared out among the products."""
    if not products:
        return {}
    pool = total(-each.value for each in left) + total(Fraction(each.amount) for each in movement.additional_costs)
    pool = max(pool - total(each.worth for each in others.values()), NOTHING)
    worths = portion(pool, [Fraction(leg.share or 0) for leg in products.values()], movement.digits)
    return {place: _evenly(leg, worth) for (place, leg), worth in zip(products.items(), worths, strict=True)}


def _book_costs_of_making(movement: MovementAllocated, bearing: Legs, coming: Comings) -> None:
    weights = [coming[place].worth for place in bearing]
    if not any(weights):
        weights = [Fraction(leg.quantity) for leg in bearing.values()]
    for cost in movement.additional_costs:
        for place, part in zip(bearing, portion(Fraction(cost.amount), weights, movement.digits), strict=True):
            book(coming[place].booked, cost.account, part)


def _add_costs(movement: MovementAllocated, legs: Legs, coming: Comings, amount: Weight, quantity: Weight) -> None:
    """Each additional cost joins the worth of the legs: shared out over the lines, then over the legs of each."""
    ways: dict[str, Weight] = {
        "amount": amount,
        "quantity": quantity,
        "share": lambda _, leg: Fraction(leg.share or 0),
    }
    added = dict.fromkeys(legs, NOTHING)
    for cost in movement.additional_costs:
        parts = _over_lines(Fraction(cost.amount), legs, ways[cost.spread], quantity, movement.digits)
        for place, part in parts.items():
            added[place] += part
            book(coming[place].booked, cost.account, part)
    for place, worth in added.items():
        each = coming[place]
        each.worth += worth
        each.costs = {serial: own + nano(worth / len(each.costs)) for serial, own in each.costs.items()}


def _over_lines(amount: Fraction, legs: Legs, way: Weight, quantity: Weight, digits: int) -> dict[int, Fraction]:
    """An amount in parts for the lines, and that of each in parts for its legs; by quantity where nothing weighs."""
    if not any(_weights(legs, way)):
        way = quantity
    numbers = dict.fromkeys(leg.line for leg in legs.values())
    lines = [{place: leg for place, leg in legs.items() if leg.line == number} for number in numbers]
    found: dict[int, Fraction] = {}
    for line, part in zip(lines, portion(amount, [total(_weights(each, way)) for each in lines], digits), strict=True):
        within = way if any(_weights(line, way)) else quantity
        found |= zip(line, portion(part, _weights(line, within), digits), strict=True)
    return found


def _weights(legs: Legs, way: Weight) -> list[Fraction]:
    return [way(place, leg) for place, leg in legs.items()]


def book(booked: Booked, account: str, amount: Fraction) -> None:
    """Add up what is booked on an account; nothing of zero is listed."""
    booked[account] = booked.get(account, NOTHING) + amount
    if not booked[account]:
        del booked[account]


def _whole_of(books: Books) -> Weight:
    return lambda _, leg: books.entry(leg.original).quantity


def _evenly(leg: Leg, worth: Fraction) -> Coming:
    return Coming(worth, {serial: nano(worth / len(leg.serials)) for serial in leg.serials})
